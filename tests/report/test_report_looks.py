"""A variant looks the same in every figure, and lines of one figure never look alike."""

import random
from dataclasses import replace

import numpy as np
import pytest
from readable import figure_drawn_by, require_readable
from synthetic import BASE, DENSE, make_record, make_records

from report import paper
from report.compare.ablation import compare_cases
from report.figures import paper_figure_5
from report.figures.categories import look_of_point
from report.figures.cost import lines_of
from report.figures.learning_curves import looks_by_name, rows_of
from report.figures.looks import DENSE as DENSE_LOOKS
from report.figures.looks import LSH, look_of, looks
from report.page.svg import inline_svg
from report.reading.cases import suite_names
from report.reading.categories import category_lines
from report.reading.gathering import gather
from report.reading.series import lines
from report.reading.view import view_of
from suites.base import grid

VARIANTS = {
    "LSH-1": replace(BASE, n_rounds=1),
    "LSH-4": BASE,
    "LSH-8": replace(BASE, n_rounds=8),
    "local": replace(BASE, attention="local"),
    "dense": DENSE,
    "dense with means": replace(BASE, attention="sdpa", ff_chunks=4, loss_chunks=4),
    "dense, shared QK": replace(DENSE, shared_qk=True),
    "naive": replace(DENSE, attention="naive"),
    "sliced": replace(DENSE, attention="memory_efficient"),
}


def series_of(models):
    draw = np.random.default_rng(0)
    cases = [case for model in models for case in grid(model, length=[512, 1024])]
    return lines(gather([make_record(case, ["s"], 0, draw) for case in cases]), "length")


def drawn(name, others):
    """Return the look of a variant in a figure of it and these others."""
    found = series_of([VARIANTS[name], *(VARIANTS[other] for other in others)])
    mine = series_of([VARIANTS[name]])[0].cases[0].id
    [place] = [i for i, line in enumerate(found) if mine in {case.id for case in line.cases}]
    return looks(found)[place]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_looks_the_same_whatever_stands_beside_it(name):
    others = [other for other in VARIANTS if other != name]
    chance = random.Random(name)
    found = {drawn(name, chance.sample(others, chance.randrange(len(others)))) for _ in range(8)}
    assert len(found) == 1


def test_a_line_has_its_look_in_its_learning_curves_too():
    ordinary = {"reversible": False, "ff_chunks": 1, "loss_chunks": 1}
    models = [replace(BASE, **ordinary), BASE, *(VARIANTS[name] for name in ("local", "dense"))]
    half = replace(BASE, precision="bfloat16", measures=("time",))  # a line without a curve
    cases = [case for model in (*models, half) for case in grid(model, length=[512, 1024])]
    draw = np.random.default_rng(1)
    records = [make_record(case, ["sequence_length"], 0, draw) for case in cases]
    view = view_of("sequence_length", gather(records))
    rows = rows_of(view)
    assert len(rows) == 2
    found = looks_by_name(view, rows)
    assert len({*found.values()}) == 4
    for named in rows.values():
        for name, case in named:
            [line] = [series for series in view.series if case in series.cases]
            assert found[name] == looks(view.series)[view.series.index(line)]


def test_categories_look_different_in_their_learning_curves():
    """Also where they are more than one row of panels holds."""
    models = [replace(BASE, n_rounds=n, bucket_size=b) for n in (1, 2, 4) for b in (8, 16)]
    cases = [case for model in models for case in grid(model, length=[512, 1024])]
    draw = np.random.default_rng(2)
    cases = gather([make_record(case, ["s"], 0, draw) for case in cases])
    names = ["n_rounds", "bucket_size"]
    series, categories = category_lines(cases, names, {})
    view = replace(view_of("s", cases), varies="n_rounds", series=series, categories=categories)
    rows = rows_of(view)
    assert len(rows) > 1
    found = looks_by_name(view, rows)
    assert len({*found.values()}) == len(found) > 1


def test_no_two_variants_look_alike():
    assert len({drawn(name, []) for name in VARIANTS}) == len(VARIANTS)


ORDINARY = {"reversible": False, "ff_chunks": 1, "loss_chunks": 1}
MEANS = {
    "ordinary": ORDINARY,
    "chunked": {**ORDINARY, "ff_chunks": 4, "loss_chunks": 4},
    "reversible": {**ORDINARY, "reversible": True},
    "both": {"reversible": True, "ff_chunks": 4, "loss_chunks": 4},
}


@pytest.mark.parametrize("attention", ["lsh", "sdpa", "local"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_saves_memory_and_the_precision_have_looks_of_their_own(attention, precision):
    """Whatever stands beside, and whether or not the name of the line tells it."""
    base = replace(BASE, attention=attention, shared_qk=True)
    models = [replace(base, **means, precision=precision) for means in MEANS.values()]
    beside = [*models, *(replace(base, **means) for means in MEANS.values())]
    alone = [looks(series_of([model]))[0] for model in models]
    together = {line.cases[0].id: look for line, look in zip_looks(series_of(beside))}
    assert alone == [together[series_of([model])[0].cases[0].id] for model in models]
    assert len({look[1:] if attention != "sdpa" else look for look in alone}) == len(models)
    assert len({*together.values()}) == len(together)


def zip_looks(series):
    return zip(series, looks(series), strict=True)


def test_sizes_of_categories_are_told_by_markers_and_models_have_their_colours():
    models = [replace(BASE, attention=a, **ORDINARY) for a in ("lsh", "sdpa", "local")]
    draw = np.random.default_rng(3)
    sizes = [case for model in models for case in grid(model, length=[512, 1024])]
    cases = gather([make_record(case, ["s"], 0, draw) for case in sizes])
    series, categories = category_lines(cases, ["attention"], {})
    view = replace(view_of("s", cases), series=series, categories=categories)
    found = {
        (i, case.settings["attention"]): look_of_point(view, i, case)
        for i, line in enumerate(view.series)
        for case in line.cases
    }
    for name, model in zip(("lsh", "sdpa", "local"), models, strict=True):
        colours = {found[i, name].colour for i in (0, 1)}
        assert colours == {look_of(series_of([model])[0]).colour}
    assert [len({found[i, a].marker for a in ("lsh", "sdpa", "local")}) for i in (0, 1)] == [1, 1]
    assert found[0, "lsh"].marker != found[1, "lsh"].marker


@pytest.mark.parametrize("factor", ["n_rounds", "attention"])
def test_models_have_their_colours_where_levels_are_compared(factor):
    models = [*(replace(BASE, n_rounds=n) for n in (1, 4)), VARIANTS["local"], VARIANTS["dense"]]
    tasks = [replace(model, task=task) for task in ("enwik8", "photos64") for model in models]
    draw = np.random.default_rng(4)
    cases = [case for model in tasks for case in grid(model, length=[512])]
    found = compare_cases(gather([make_record(c, ["s"], 0, draw) for c in cases]), factor)
    drawn = lines_of(found, [*{one.group: 0 for one in found.levels}])
    assert len({look for _, _, look in drawn}) == len(drawn)
    first = drawn if factor == "attention" else drawn[:1] + drawn[2:]
    for label, levels, look in first:
        if factor == "attention":
            assert len(levels) == 1, "models have no order"
        if "photos64" not in label:
            known = series_of([VARIANTS["local"]]) if "local" in label else None
            known = series_of([VARIANTS["dense"]]) if "dense" in label else known
            of_rounds = [replace(BASE, n_rounds=int(label[4]))] if "LSH-" in label else [BASE]
            assert look == look_of((known or series_of(of_rounds))[0]), label


def test_no_two_lines_of_a_figure_look_alike():
    cases = gather(make_records())
    for name in suite_names(cases):
        series = view_of(name, cases).series
        assert len({*looks(series)}) == len(series), name


def test_the_more_rounds_the_darker():
    def lightness(colour):
        return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))

    models = [replace(BASE, n_rounds=n) for n in (1, 2, 4, 8, 16)]
    found = [lightness(look_of(line)[0]) for line in series_of(models)]
    assert found == sorted(found, reverse=True)


def test_the_usual_variant_keeps_its_look_beside_unusual_ones():
    others = [replace(BASE, within_bucket=False), replace(BASE, correct_duplicates=False)]
    for models in ([BASE, *others], [*others, BASE]):
        found = series_of(models)
        looked = dict(zip([line.name for line in found], looks(found), strict=True))
        assert looked["LSH-4"] == look_of(series_of([BASE])[0])


def test_curves_of_the_paper_have_the_looks_of_our_variants(monkeypatch, tmp_path):
    """Also where these were not measured; names stand right of the curves, not on them."""
    call = replace(BASE, subject="attention", measures=("time", "memory"), precision="bfloat16")
    calls = [replace(call, length=n, batch=32768 // n) for n in (1024, 4096)]
    draw = np.random.default_rng(5)
    cases = [case for s in calls for case in grid(s, attention=["lsh", "sdpa"])]
    records = [make_record(case, ["attention_speed"], 0, draw) for case in cases]
    view = view_of("attention_speed", gather(records))
    figure = figure_drawn_by(paper_figure_5.draw_paper_figure_5, view, monkeypatch, tmp_path)
    theirs = figure.axes[1]
    drawn = {
        text.get_text(): (line.get_color(), line.get_marker(), line.get_fillstyle())
        for line, text in zip(theirs.get_lines(), theirs.texts, strict=True)
    }
    assert list(drawn) == list(paper.FIGURE_5_SECONDS)
    for name, found in drawn.items():
        known = DENSE_LOOKS["memory_efficient"] if name == "full" else LSH[int(name[4:])]
        assert found == known[:3]
    assert len({*drawn.values(), *(look[:3] for look in looks(view.series))}) == len(drawn) + 2
    end = max(line.get_window_extent().x1 for line in theirs.get_lines())
    assert all(end <= text.get_window_extent().x0 for text in theirs.texts)
    require_readable(figure, theirs.texts)


def test_numbers_that_a_figure_says_are_no_coordinates(tmp_path):
    path = tmp_path / "run" / "figures" / "some.svg"
    path.parent.mkdir(parents=True)
    path.write_text('<svg a="1"><text x="12.3456">rate 0.006, 2.8081 bits</text></svg>')
    found = inline_svg(path, "some").svg
    assert "rate 0.006, 2.8081 bits" in found
    assert 'x="12.35"' in found
