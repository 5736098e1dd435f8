"""What words tell apart has names on its axis, and what each part changes is true."""

import html
import re
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_record, true_bits, true_rest_bytes, true_step_ms

from report.compare.ablation import compare_by
from report.figures.of_suite import draw_suite
from report.findings import suite_finding
from report.reading.gathering import gather
from report.reading.view import view_of
from report.tables.cases_table import suite_table
from report.tables.parts_table import parts_table
from suites.engine.sweep.planning import find_suites
from suites.engine.sweep.prediction import predict_memory
from suites.settings import Settings

SUITES = find_suites()


def records_of(suite: str, preset: str = "cpu") -> list:
    """Make the records of a real suite, with three seeds where it trains; shuffled."""
    rng = np.random.default_rng(5)
    records = [
        make_record(case, [suite], seed, rng)
        for case in SUITES[suite].cases(preset)
        for seed in range(3 if "quality" in case.settings.measures else 1)
    ]
    return [records[i] for i in rng.permutation(len(records))]


def words(path) -> str:
    return html.unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())))


@pytest.fixture(scope="module")
def components():
    return view_of("components", gather(records_of("components")))


@pytest.fixture(scope="module")
def layer_kinds():
    return view_of("layer_kinds", gather(records_of("layer_kinds")))


def test_categories_stand_in_the_order_of_the_suite_whatever_that_of_the_records(layer_kinds):
    assert layer_kinds.categories == (
        "LSH-4",
        "layers of local, LSH-4",
        "layers of local, local, local, LSH-4",
        "local attention",
        "dense sdpa",
    )
    (line,) = layer_kinds.series
    assert line.name == ""
    patterns = [case.settings["attention"] for case in line.cases]
    assert patterns == [case.settings.attention for case in SUITES["layer_kinds"].cases("cpu")]


def test_a_line_is_a_size_and_no_case_is_lost(components):
    assert [s.name for s in components.series] == [
        "length 1024, 2 layers",
        "length 4096, 2 layers",
        "length 4096, 6 layers",
        "length 65536, 12 layers",
    ]
    assert [len(s.points) for s in components.series] == [9, 9, 9, 1]
    assert {case.id for case in components.cases} == {
        case.id for case in SUITES["components"].cases("cpu")
    }
    assert components.categories[0] == "dense sdpa, ordinary layers"
    assert components.categories[7] == "LSH-4, reversible and chunked"
    for series in components.series:
        for x, case in series.points:
            told = components.x_text(x)
            assert ("LSH" in told) == (case.kind == "reformer")
            assert ("reversible" in told) == case.settings["reversible"]
            assert ("chunked" in told) == (case.settings["ff_chunks"] > 1)


@pytest.mark.parametrize("measure", ["time", "memory", "quality"])
def test_figures_of_categories_have_names_and_what_failed(tmp_path, measure):
    records = records_of("layer_kinds")
    broken = next(r for r in records if r["settings"]["attention"] == "local+lsh")
    lost = {k: v for k, v in broken.items() if k not in ("time", "memory", "quality")}
    lost |= {"status": "oom", "reason": "out of memory"}
    records = [r for r in records if r["case"] != broken["case"]] + [lost]
    view = view_of("layer_kinds", gather(records))
    draw_suite(view, tmp_path)
    text = words(tmp_path / f"layer_kinds_{measure}.svg")
    for part in ("LSH-4", "local attention", "dense sdpa", "layers of local, LSH-4"):
        assert part in text
    assert "x out of memory" in text


def test_the_title_names_best_and_worst_or_no_difference(layer_kinds):
    """The mean of the layers' kinds is true: dense best by 0.1 in bits, local the fastest."""
    assert suite_finding(layer_kinds, "time").startswith("Fastest: local attention (")
    told = suite_finding(layer_kinds, "quality")
    assert re.match(r"Best: dense sdpa \(.*\); worst: local attention", told), told


@pytest.mark.parametrize(
    ("tied", "told"),
    [
        ([], "Best: dense sdpa (V); worst"),
        (["local+lsh"], "Best: dense sdpa (V), no visible difference from layers of local, LSH-4;"),
        (["local+lsh", "local"], "Best: dense sdpa (V), no visible difference from 2 others;"),
    ],
)
def test_what_does_not_differ_visibly_from_the_best_is_said(tied, told):
    records = records_of("layer_kinds")
    dense = {r["seed"]: r for r in records if r["settings"]["attention"] == "sdpa"}
    for record in records:
        if record["settings"]["attention"] in tied:
            of_dense = dense[record["seed"]]["quality"]["bits_per_dim"]
            record["quality"]["bits_per_dim"] = of_dense + 1e-4 * (record["seed"] - 0.9)
    finding = suite_finding(view_of("layer_kinds", gather(records)), "quality")
    assert re.sub(r"\([^)]*\)", "(V)", finding).startswith(told)


def test_one_category_is_no_finding(layer_kinds):
    records = [r for r in records_of("layer_kinds") if r["settings"]["attention"] == "local"]
    found = view_of("layer_kinds", gather(records))
    for measure in ("time", "memory", "quality"):
        assert suite_finding(found, measure) == "layer_kinds: one point measured, local attention"


def settings_at(lsh: bool, reversible: bool, pieces: bool, base: Settings) -> Settings:
    chunks = 4 if pieces else 1
    return replace(
        base,
        attention="lsh" if lsh else "sdpa",
        shared_qk=True,
        reversible=reversible,
        ff_chunks=chunks,
        loss_chunks=chunks,
    )


def interval(text: str) -> tuple[float, float]:
    low, high = re.search(r"\(([-+.\d]+) to ([-+.\d]+)\)", text).groups()
    return float(low), float(high)


def factor_ends(text: str) -> tuple[float, float]:
    """Return the interval of a factor told as "1.02x (...)" or "1.31 (...) times slower"."""
    low, high = interval(text)
    return (1 / high, 1 / low) if text.endswith("faster") else (low, high)


def factor_of(text: str) -> float:
    """Return the factor told as "1.18 times less", "1.31 times more" or "the same"."""
    number, *_, word = text.split()
    return 1.0 if text == "the same" else float(number) ** (-1 if word == "less" else 1)


PART_PLACES = {"LSH": 0, "reversible layers": 1, "pieces": 2}


def test_what_a_part_changes_is_true(components):
    table = parts_table(components)
    at_size = table[table["size"] == "length 4096, 6 layers"]
    assert len(at_size) == 6
    base = Settings(length=4096, n_layers=6, d_model=128, d_ff=512, n_heads=4)
    for row in at_size.to_dict("records"):
        place, last = PART_PLACES[row["part"]], row["is"] == "beside the other two"
        with_it = [last] * 3
        without = [last] * 3
        with_it[place], without[place] = True, False
        one, other = settings_at(*with_it, base), settings_at(*without, base)
        low, high = factor_ends(row["time, step"])
        assert low - 0.02 <= true_step_ms(one) / true_step_ms(other) <= high + 0.02
        memory = true_rest_bytes(one) / true_rest_bytes(other)
        same = 0.031 if row["activations"] == "the same" else 0.006
        assert factor_of(row["activations"]) == pytest.approx(memory, rel=same)
        low, high = (
            float(v) for v in re.findall(r"([\d.]+) MiB", row["predicted peak, without and with"])
        )
        predicted = [predict_memory(s).peak / 2**20 for s in (other, one)]
        assert (low, high) == pytest.approx(predicted, rel=0.01)
    trained = table[table["size"] == "length 1024, 2 layers"]
    bits = trained.set_index(["part", "is"])["bits per dim"]
    assert set(bits["pieces"]) == {"the same function"}
    base = Settings(length=1024, n_layers=2)
    truth = true_bits(replace(base, attention="lsh")) - true_bits(replace(base, attention="sdpa"))
    for text in bits["LSH"]:
        low, high = interval(text)
        assert low <= truth <= high


def test_one_larger_case_adds_nothing_to_the_names_in_the_table(components):
    """Its width, batch of held-out tokens and more differ; length and layers, columns, tell it."""
    names = set(suite_table(components.cases)["model"])
    means = ("ordinary layers", "chunked", "reversible", "reversible and chunked")
    small = {f"LSH-4, bucket 32, chunk 64, {text}" for text in means}
    assert names == {
        *small,
        "LSH-4, bucket 64, chunk 128, reversible and chunked",
        *(f"dense sdpa, {text}" for text in means),
        "local attention",
    }


def test_only_the_whole_was_measured_at_the_papers_size_and_the_rest_is_predicted(components):
    table = parts_table(components)
    papers = table[table["size"] == "length 65536, 12 layers"]
    assert list(papers["part"]) == ["LSH", "reversible layers", "pieces"]
    assert set(papers["activations"]) == set(papers["time, step"]) == {""}
    without, whole = (
        papers.set_index("part")
        .loc["reversible layers", "predicted peak, without and with"]
        .split(" and ")
    )
    assert float(without.split()[0]) > 20 > float(whole.split()[0])


def test_the_title_of_parts_says_what_each_changes(components):
    told = suite_finding(components, "time")
    assert told.startswith("At length 4096, 6 layers, each beside the other two, a step is ")
    assert [part for part in PART_PLACES if f"with {part}" in told] == list(PART_PLACES)
    told = suite_finding(components, "memory")
    assert re.search(r"is [\d.]+ times less with LSH, the same with reversible layers", told), told
    assert "bits per dim worse with LSH" in suite_finding(components, "quality")
    assert "with pieces" not in suite_finding(components, "quality")


def test_parts_are_compared_each_at_each_size():
    """Names tell what differs within a size; pieces of feed-forward and loss change together."""
    records = records_of("components")
    models = compare_by(records, "attention")
    of_a_size = [one.name for one in models.levels if one.group == models.levels[0].group]
    means = ("ordinary layers", "chunked", "reversible", "reversible and chunked")
    names = [f"{attention}, {text}" for attention in ("LSH-4", "dense sdpa") for text in means]
    assert sorted(of_a_size) == sorted([*names, "local attention"])
    bases = {one.base.settings["attention"] for one in models.levels}
    assert bases == {"sdpa"}
    assert {one.base.settings["ff_chunks"] for one in models.levels} == {1}
    for factor in ("ff_chunks", "loss_chunks", "reversible"):
        found = compare_by(records, factor).levels
        assert len(found) == 2 * 4 * 3, factor
        for one in found:
            changed = {
                name
                for name, value in one.case.settings.items()
                if value != one.base.settings[name] and name != "measures"
            }
            pieces = {"ff_chunks", "loss_chunks"}
            assert changed in (set(), pieces if factor in pieces else {factor})


def test_suites_of_numbers_have_no_parts_and_no_names():
    rng = np.random.default_rng(1)
    records = [make_record(c, ["layers"], 0, rng) for c in SUITES["layers"].cases("quick")]
    view = view_of("layers", gather(records))
    assert view.categories == ()
    assert parts_table(view) is None
