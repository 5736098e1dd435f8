"""A run that is not finished says what is missing, draws no line across it, and concludes less."""

import html
import json
import re
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from synthetic import BASE, DENSE, make_record, write_lines

from report.compare.ablation import compare_by
from report.figures.cost import draw_path, time_cost
from report.figures.drawing import draw_lines
from report.figures.looks import LSH
from report.figures.style import new_figure
from report.findings import suite_finding
from report.page.page import write_report
from report.reading.cases import CaseResult
from report.reading.gathering import gather
from report.reading.planned import missing_records
from report.reading.view import view_of
from suites import layers
from suites.base import Case, grid
from suites.engine.store.plan import Entry, Plan
from suites.engine.store.records import Record
from suites.settings import Settings, change

LENGTHS = [512, 1024, 2048, 4096]
CASES = [*grid(BASE, length=LENGTHS), *grid(DENSE, length=LENGTHS)]
SEEDS = [0, 1, 2]


def plan_of(cases: list[Case], suite: str = "sequence_length") -> Plan:
    entries = {case.id: Entry(case=case, suites=(suite,)) for case in cases}
    return Plan(name="part", preset="cpu", seeds=SEEDS, device="cpu", entries=entries)


def records_of(cases: list[Case], suite: str = "sequence_length") -> list[Record]:
    rng = np.random.default_rng(4)
    return [make_record(case, [suite], seed, rng) for case in cases for seed in SEEDS]


def without(length: int, attention: str = "lsh") -> list[Case]:
    """Return the cases less one."""
    lost = (attention, length)
    return [c for c in CASES if (c.settings.attention, c.settings.length) != lost]


def written(folder: Path, plan: Plan, records: list[Record]) -> tuple[str, str]:
    """Write a report, and return the text of its page and of table.md."""
    write_lines(folder, records)
    (folder / "plan.json").write_text(json.dumps(plan.to_json()))
    write_report(folder)
    return html.unescape((folder / "index.html").read_text()), (folder / "table.md").read_text()


def drawn_lines(view: Any, value: Any) -> dict[str, tuple[list[float], list[float]]]:
    """Return what draw_lines draws, by name: x and y, nan where the line is broken."""
    _, (axes,) = new_figure()
    draw_lines(axes, view, value)
    found = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
    return {str(c.get_label()): tuple(map(list, c.lines[0].get_data())) for c in found}


@pytest.mark.parametrize("value", [CaseResult.time, CaseResult.bits], ids=["time", "quality"])
@pytest.mark.parametrize("how", ["missing", "failed"])
def test_no_line_crosses_a_length_that_was_planned_and_not_measured(how: str, value: Any) -> None:
    records = records_of(without(1024))
    if how == "missing":
        records += missing_records(plan_of(CASES), records)
    else:
        lost = make_record(CASES[1], ["sequence_length"], 0, np.random.default_rng(0))
        kept = {k: v for k, v in lost.items() if k not in ("time", "memory", "quality")}
        records.append(kept | {"status": "crash", "reason": "it crashed"})  # type: ignore[arg-type]
    found = drawn_lines(view_of("sequence_length", gather(records)), value)
    x, y = found["LSH-4"]
    assert x == LENGTHS
    assert [isnan(v) for v in y] == [False, True, False, False]
    assert not any(map(isnan, found["dense sdpa"][1]))


def test_a_line_joins_lengths_between_which_nothing_was_planned() -> None:
    """At some lengths costs alone are measured: then a line of bits per dim is whole."""
    cases = [
        Case(settings=change(c.settings, measures=("time", "memory")))
        if c.settings.length == 1024
        else c
        for c in CASES[:4]
    ]
    found = drawn_lines(view_of("sequence_length", gather(records_of(cases))), CaseResult.bits)
    assert found["LSH-4"][0] == [512, 2048, 4096]
    assert not any(map(isnan, found["LSH-4"][1]))


def test_no_path_of_levels_crosses_one_that_failed() -> None:
    cases = grid(BASE, n_rounds=[1, 2, 4])
    records = records_of(cases, "hash_rounds")
    for record in records:
        if record["case"] == cases[1].id:
            record.update(status="oom", reason="too much", time=None, memory=None, quality=None)
    _, (axes,) = new_figure()
    draw_path(axes, compare_by(records, "n_rounds").levels, time_cost, LSH[4], "", True)
    (path,) = axes.containers
    assert [isnan(x) for x in path.lines[0].get_data()[0]] == [False, True, False]


def test_the_page_and_the_tables_name_what_is_missing(tmp_path: Path) -> None:
    records = records_of(without(4096))
    records = [r for r in records if r["seed"] < 2 or r["settings"]["length"] != 512]
    page, table = written(tmp_path, plan_of(CASES), records)
    for text in (page, table):
        assert "NOT FINISHED: of 8 planned cases 1 are not measured: LSH-4," in text
        assert "length 4096" in text
        assert "2 are measured in part: " in text
        assert text.count("(no seed 2)") == 2
        assert "missing: planned, not measured yet" in text or text is page
    figure = (tmp_path / "figures" / "sequence_length_time.svg").read_text()
    assert "LSH-4: not measured yet at 4K" in html.unescape(figure)
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == len(records)
    assert "missing" not in (tmp_path / "table.csv").read_text()


def test_a_finished_run_misses_nothing(tmp_path: Path) -> None:
    failed = records_of(CASES)
    for record in failed:
        if record["case"] == CASES[0].id:
            record.update(status="oom", reason="too much", time=None, memory=None, quality=None)
    page, table = written(tmp_path, plan_of(CASES), failed)
    assert "NOT FINISHED" not in page + table
    assert "not measured yet" not in page + table


@pytest.mark.parametrize("content", ["", "{", '{"format": 2}', '{"format": 99}'])
def test_a_plan_that_cannot_be_read_stops_no_report(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lines(tmp_path, records_of(CASES[:2]))
    (tmp_path / "plan.json").write_text(content)
    assert all(path.exists() for path in write_report(tmp_path).paths)
    assert "what is missing cannot be told" in capsys.readouterr().err


def test_a_comparison_of_growth_is_over_the_range_of_both() -> None:
    """Of 1 to 8 layers dense attention has 1 to 4: both are told from 1 to 4."""
    cases = [*grid(BASE, n_layers=[2, 4, 8]), *grid(DENSE, n_layers=[2, 4, 8])]
    records = records_of(cases[:-1], "layers")
    records += missing_records(plan_of(cases, "layers"), records)
    view = view_of("layers", gather(records))
    for measure in ("time", "quality"):
        told = suite_finding(view, measure)
        assert told.startswith("From 2 to 4 layers"), told
        assert told.endswith("; dense sdpa not measured yet at 8"), told
    factors = re.findall(r"([\d.]+)x \(", suite_finding(view, "time"))
    assert [float(f) for f in factors] == pytest.approx([2.0, 2.0], rel=0.03)


def test_the_longest_length_in_common_is_told_with_what_is_missing_beyond() -> None:
    records = records_of(without(4096, "sdpa"))
    records += missing_records(plan_of(CASES), records)
    told = suite_finding(view_of("sequence_length", gather(records)), "time")
    assert re.match(r"At 4,096 tokens LSH-4 takes .*; at 2,048 tokens LSH-4 is", told), told
    assert "dense sdpa not measured yet at 4K" in told


@pytest.mark.parametrize("measure", ["time", "memory", "quality"])
@pytest.mark.parametrize(
    ("suite", "changes"),
    [
        ("layers", {"n_layers": 4}),
        ("hash_rounds", {"n_rounds": 4}),
        ("bucket_size", {"bucket_size": 16}),
        ("learning_rate", {"learning_rate": 3e-3}),
    ],
)
def test_a_single_point_is_no_finding(suite: str, changes: dict[str, Any], measure: str) -> None:
    settings: Settings = change(BASE, **changes)
    view = view_of(suite, gather(records_of([Case(settings=settings)], suite)))
    assert suite_finding(view, measure).startswith(f"{suite}: one point measured, LSH")


@pytest.mark.parametrize(
    ("n_layers", "beside"), [((1, 2), ", with all 18 cases of the suite"), ((1, 2, 4), "")]
)
def test_the_command_of_a_part_of_a_suite_says_that_it_measures_all(
    tmp_path: Path, n_layers: tuple[int, ...], beside: str
) -> None:
    """What --where asked is not in the plan."""
    cases = [c for c in layers.SUITE.cases("cpu") if c.settings.n_layers in n_layers]
    plan = plan_of(cases, "layers")
    (tmp_path / "compare_by_n_layers.md").write_text("")
    page, _ = written(tmp_path, plan, records_of(cases[:2], "layers"))
    assert '<a href="compare_by_n_layers.md">' in page
    assert "No one command measures this again" not in page
    assert f" Again{beside}: <code>python run_bench.py run layers --preset cpu" in page
