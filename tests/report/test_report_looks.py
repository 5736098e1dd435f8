"""A variant looks the same in every figure, and lines of one figure never look alike."""

import random
from dataclasses import replace

import numpy as np
import pytest
from synthetic import BASE, DENSE, make_record, make_records

from report.figures.learning_curves import looks_by_name, rows_of
from report.figures.looks import look_of, looks
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


def test_numbers_that_a_figure_says_are_no_coordinates(tmp_path):
    path = tmp_path / "run" / "figures" / "some.svg"
    path.parent.mkdir(parents=True)
    path.write_text('<svg a="1"><text x="12.3456">rate 0.006, 2.8081 bits</text></svg>')
    found = inline_svg(path, "some").svg
    assert "rate 0.006, 2.8081 bits" in found
    assert 'x="12.35"' in found
