"""Lines in bfloat16, or in CUDA graphs, are drawn and compared apart from the others."""

from dataclasses import replace

import numpy as np
import pytest
from readable import figure_drawn_by
from synthetic import BASE, make_record

from report.figures import memory, time
from report.figures.drawing import call_sizes_text
from report.figures.paper_figure_5 import attention_finding
from report.findings import suite_finding
from report.reading.gathering import gather, noise_kind
from report.reading.rivals import common_points, crossover_of, precision_of, rivals_of
from report.reading.view import view_of
from report.tables.scaling_table import scaling_table
from suites.base import Case, make_case
from suites.labels import short_label

CALL = replace(BASE, subject="attention", measures=("time", "memory"), processes=3)
# The time in bfloat16 over that in float32: LSH is slower, fused attention faster.
OF_BFLOAT16 = {"lsh": 2.0, "sdpa": 0.25}


def cases_of(
    attention: str, precision: str, lengths: tuple[int, ...] = (1024, 4096, 16384)
) -> list[Case]:
    base = replace(CALL, attention=attention, precision=precision)
    return [make_case(replace(base, length=n, batch=32768 // n)) for n in lengths]


def view(*cases: Case, suite: str = "attention_speed"):
    rng = np.random.default_rng(0)
    records = []
    for case in cases:
        s = case.settings
        slower = OF_BFLOAT16[s.attention] if s.precision == "bfloat16" else 1.0
        records.append(make_record(case, [suite], 0, rng, slower))
    return view_of(suite, gather(records))


@pytest.fixture(scope="module")
def both():
    return view(
        *(case for a in ("lsh", "sdpa") for p in ("bfloat16", "float32") for case in cases_of(a, p))
    )


def lines_by_name(found):
    return {line.name: line for line in found.series}


def test_each_line_is_in_one_precision_and_says_so(both):
    names = lines_by_name(both)
    assert set(names) == {"LSH-4", "LSH-4, bfloat16", "dense sdpa", "dense sdpa, bfloat16"}
    for name, line in names.items():
        expected = "bfloat16" if "bfloat16" in name else "float32"
        assert {case.settings["precision"] for case in line.cases} == {expected}
        assert precision_of(line) == expected


def test_two_precisions_are_two_lines_where_they_share_no_length():
    found = view(*cases_of("lsh", "float32", (1024,)), *cases_of("lsh", "bfloat16", (4096,)))
    assert set(lines_by_name(found)) == {"LSH-4", "LSH-4, bfloat16"}


def test_precisions_are_never_compared_with_each_other(both):
    names = lines_by_name(both)
    ours, half = names["LSH-4"], names["LSH-4, bfloat16"]
    dense, dense_half = names["dense sdpa"], names["dense sdpa, bfloat16"]
    always = lambda case: 1.0  # noqa: E731
    assert len(common_points(ours, dense, always)) == len(common_points(half, dense_half, always))
    for a, b in ((ours, dense_half), (half, dense)):
        assert common_points(a, b, always) == []
        assert crossover_of(a, b) is None
    table = scaling_table(both).set_index("model")
    for line in (ours, half):
        for rival in (dense, dense_half):
            told = table.loc[line.name, f"faster than {rival.name} from"]
            assert bool(told) == (precision_of(line) == precision_of(rival))
    # truth: 2 x the time of ours, a quarter of that of dense attention
    same = crossover_of(ours, dense).estimate.value
    assert crossover_of(half, dense_half).estimate.value > 4 * same


def test_findings_are_on_float32_where_both_are_in_it_and_say_so(both):
    for told in (suite_finding(both, "time"), attention_finding(both)):
        assert told.startswith("In float32, at ")
        assert "LSH-4" in told
        assert "dense sdpa" in told
        assert "bfloat16" not in told
    assert "float32 unless named otherwise" in call_sizes_text(both)


@pytest.mark.parametrize("draw", [time.draw_time, memory.draw_memory])
def test_captions_tell_how_many_tokens_a_call_has(draw, monkeypatch, tmp_path):
    """Else a line that is flat over the length looks as if time did not grow with the tokens."""
    found = view(*cases_of("lsh", "float32"), *cases_of("sdpa", "float32"))
    caption = " ".join(
        figure_drawn_by(draw, found, monkeypatch, tmp_path).texts[1].get_text().split()
    )
    assert "32,768 tokens a call at every length" in caption
    single = [make_case(replace(c.settings, batch=1)) for c in cases_of("lsh", "float32")]
    found = view(*single, suite="attention_length")
    assert call_sizes_text(found).startswith("1 sequence a call, ")


def test_findings_on_bfloat16_alone_say_so():
    found = view(*cases_of("lsh", "bfloat16"), *cases_of("sdpa", "bfloat16"))
    rivals = rivals_of(found.series, "time")
    assert {precision_of(line) for line in (rivals.ours, rivals.dense)} == {"bfloat16"}
    assert suite_finding(found, "time").startswith("In bfloat16, at 16,384 tokens LSH-4 is ")


def test_in_one_precision_it_goes_without_saying():
    found = view(*cases_of("lsh", "float32"), *cases_of("sdpa", "float32"))
    assert suite_finding(found, "time").startswith("At ")
    assert attention_finding(found).startswith("At ")


def test_calls_in_cuda_graphs_and_others_are_two_lines_where_they_share_no_length():
    launched = cases_of("lsh", "float32", (4096, 16384))
    [graph] = cases_of("lsh", "float32", (1024,))
    graph = make_case(replace(graph.settings, cuda_graph=True, measures=("time",)))
    names = lines_by_name(view(graph, *launched))
    assert set(names) == {"LSH-4", "LSH-4, CUDA graphs"}
    assert short_label(graph.settings.measured()).endswith("attention alone, CUDA graphs")
    noise = {noise_kind(case.records[0]) for line in names.values() for case in line.cases}
    assert len({kind[1] for kind in noise}) == 2, "the host's noise is not that of a replay"


def test_calls_of_before_there_were_cuda_graphs_were_without():
    rng = np.random.default_rng(1)
    records = [make_record(c, ["attention_speed"], 0, rng, 1.0) for c in cases_of("lsh", "float32")]
    del records[0]["settings"]["cuda_graph"]
    assert [case.settings["cuda_graph"] for case in gather(records)] == [False] * 3


def test_calls_in_cuda_graphs_are_compared_with_each_other_only():
    """Whoever launches them: the host takes time for the others."""
    launched = [case for a in ("lsh", "sdpa") for case in cases_of(a, "bfloat16")]
    replayed = [
        make_case(replace(case.settings, cuda_graph=True, measures=("time",))) for case in launched
    ]
    names = lines_by_name(found := view(*launched, *replayed))
    ours, dense = names["LSH-4, bfloat16"], names["dense sdpa, bfloat16, CUDA graphs"]
    assert len(names) == 4
    assert common_points(ours, dense, lambda case: 1.0) == []
    assert crossover_of(names["LSH-4, bfloat16, CUDA graphs"], dense) is not None
    rivals = rivals_of(found.series, "time")
    assert (rivals.ours, rivals.dense) == (ours, names["dense sdpa, bfloat16"])


@pytest.mark.parametrize(("ours", "dense"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_findings_do_not_compare_what_shares_no_precision(ours, dense):
    found = view(*cases_of("lsh", ours), *cases_of("sdpa", dense), suite="attention_length")
    rivals = rivals_of(found.series, "time")
    assert sum(line is None for line in (rivals.ours, rivals.dense)) == 1
    told = suite_finding(found, "time")
    assert "takes" not in told
    assert told.count("grows") == 1
