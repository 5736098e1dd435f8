"""The number of processes of a timing grows until its interval is within the bar, or the limit."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import planted
import pytest
from findings import part_of
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sweeps import Measure, plan_of

import run_bench
from suites.engine.measure import timing, worker
from suites.engine.store import runs
from suites.engine.store.runs import RunFolder
from suites.engine.sweep import prediction
from suites.engine.sweep.backlog import Backlog
from suites.engine.sweep.growth import half_width, stopped_by
from suites.engine.sweep.merging import lines_of
from suites.settings import Settings

# Medians of 1.0 and 1.2 in turns: the interval is within 10 % from 7 processes on.
DIFFERS, N_DIFFERS = "planted:differ_by_process", 7
TIMED = {"measures": ("time",), "processes": 3}


def case(end: int = planted.HEALTHY, **changes: Any) -> Settings:
    return planted.settings_for(end, **{**TIMED, "max_processes": 10, **changes})


def processes(medians: Any) -> list[dict[str, Any]]:
    return [part_of("time", samples_ms={"step": [0.9 * m, m, 1.2 * m]}) for m in medians]


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=12))
def test_the_interval_is_students(medians: list[float]) -> None:
    logs = np.log(medians)
    _, high = stats.t.interval(
        0.95, len(logs) - 1, loc=0, scale=max(logs.std(ddof=1) / math.sqrt(len(logs)), 1e-300)
    )
    assert half_width(processes(medians)) == pytest.approx(math.expm1(min(high, 700)), abs=1e-9)


@pytest.mark.parametrize("spread", [0.03, 0.07, 0.15])
def test_stopping_at_the_bar_costs_the_interval_little_of_its_coverage(spread: float) -> None:
    draw, settings, n_covered, n_tries = np.random.default_rng(0), case(), 0, 1000
    for _ in range(n_tries):
        levels = np.exp(draw.normal(0, spread, 10)).tolist()
        found = processes(levels[:3])
        while not stopped_by(found, settings):
            found = processes(levels[: len(found) + 1])
        mean = float(np.log(levels[: len(found)]).mean())
        n_covered += abs(mean) <= math.log1p(half_width(found))
    assert 0.90 <= n_covered / n_tries <= 0.97


def test_of_two_processes_nothing_is_said() -> None:
    assert half_width(processes([1.0, 1.0])) == math.inf
    few = Settings(processes=2, max_processes=10)
    assert stopped_by(processes([1.0] * 2), few) == ""
    assert stopped_by(processes([1.0] * 3), few) == "interval"
    assert stopped_by(processes([1.0] * 2), replace(few, max_processes=2)) == "limit"


@pytest.mark.parametrize(
    ("changes", "n", "ended"),
    [
        ({}, N_DIFFERS, "interval"),
        ({"within": 0.3}, 3, "interval"),
        ({"within": 0.3, "processes": 5}, 5, "interval"),
        ({"within": 0.05}, 10, "limit"),
        ({"max_processes": 5}, 5, "limit"),
        ({"max_processes": 1}, 3, "limit"),
    ],
)
def test_processes_are_added_until_the_bar_or_the_limit(
    measure: Measure, changes: dict[str, Any], n: int, ended: str
) -> None:
    settings = case(**changes)
    folder, jobs = measure(plan_of([settings]), run_job=DIFFERS)
    assert [job.index for job in jobs] == [*range(n)]
    (record,) = folder.records()
    assert len(record["time"]["processes"]) == len(record["jobs"]) == n
    assert record["status"] == "ok"
    assert (record["time"]["grown_until"], record["time"]["within"]) == (ended, settings.within)
    assert measure(plan_of([settings]), run_job=DIFFERS)[1] == []


def test_further_passes_are_interleaved_over_all_cases(measure: Measure) -> None:
    cases = [case(length=64, measures=("time", "memory")), case(length=128), case(within=9.0)]
    cases[2] = replace(cases[2], length=256)
    folder, jobs = measure(plan_of(cases), run_job=DIFFERS)
    timed = [(job.index, job.settings.length) for job in jobs if job.kind == "time"]
    first = [(i, length) for i in range(3) for length in (64, 128, 256)]
    assert timed == first + [(i, length) for i in range(3, N_DIFFERS) for length in (64, 128)]
    assert jobs[-1].kind == "memory", "once all timings are done"
    assert [record["status"] for record in folder.records()] == ["ok"] * 3


def test_a_narrower_bar_adds_to_the_processes_there_are(measure: Measure) -> None:
    folder, _ = measure(plan_of([case()]), run_job=DIFFERS)
    pids = [p["pid"] for p in folder.records()[0]["time"]["processes"]]
    folder, jobs = measure(plan_of([case(within=0.05)]), run_job=DIFFERS)
    assert [job.index for job in jobs] == [7, 8, 9]
    (record,) = folder.records()
    assert [p["pid"] for p in record["time"]["processes"]][:N_DIFFERS] == pids
    assert record["time"]["grown_until"] == "limit"
    folder, jobs = measure(plan_of([case(within=0.05, max_processes=12)]), run_job=DIFFERS)
    assert [job.index for job in jobs] == [10, 11]
    assert len(folder.records_path.read_text().splitlines()) == 1, "no sample is on disk twice"


@pytest.mark.parametrize("n_kept", range(N_DIFFERS + 1))
def test_growth_goes_on_where_a_kill_left_it(measure: Measure, n_kept: int) -> None:
    plan = plan_of([case()])
    folder, _ = measure(plan, run_job=DIFFERS)
    (whole,) = folder.records()
    folder.records_path.unlink()
    for line in lines_of(whole)[:n_kept]:
        folder.append_job(line)
    folder, jobs = measure(plan, run_job=DIFFERS)
    assert [job.index for job in jobs] == [*range(n_kept, N_DIFFERS)]
    (record,) = folder.records()
    pids = [[p["pid"] for p in one["time"]["processes"]] for one in (record, whole)]
    assert pids[0][:n_kept] == pids[1][:n_kept]
    assert record["time"]["grown_until"] == "interval"


def test_disturbed_processes_count_as_samples_and_not_as_good_ones(measure: Measure) -> None:
    """Though they agree to the last digit, the number grows to the limit, which is said."""
    folder, jobs = measure(plan_of([case(planted.DISTURBED, max_processes=5)]))
    assert [job.index for job in jobs] == [i for i in range(5) for _ in range(2)]
    (record,) = folder.records()
    assert record["time"]["grown_until"] == "limit"
    assert len(record["time"]["processes"]) == len(record["time"]["replaced"]) == 5
    some = processes([1.0] * 4)
    some[0]["disturbed"] = True
    assert stopped_by(some[:3], case()) == ""
    assert stopped_by(some, case()) == "interval"


def test_growth_waits_until_a_disturbed_process_was_measured_again(measure: Measure) -> None:
    plan = plan_of([case(within=0.3)])
    folder, _ = measure(plan, run_job=DIFFERS)
    (whole,) = folder.records()
    folder.records_path.unlink()
    first, second, third = lines_of(whole)
    disturbed = {**second, "part": {**second["part"], "disturbed": True}}
    for line in (first, disturbed, third):
        folder.append_job(line)
    assert [job.index for job in Backlog(folder, plan).open_jobs()] == [1]
    folder, jobs = measure(plan, run_job=DIFFERS)
    assert [job.index for job in jobs] == [1]
    assert folder.records()[0]["time"]["grown_until"] == "interval"


def test_of_a_step_of_over_a_minute_there_are_three_samples_in_all(measure: Measure) -> None:
    folder, jobs = measure(plan_of([case()]), run_job="planted:take_over_a_minute")
    assert len(jobs) == 3
    (record,) = folder.records()
    found = record["time"]
    assert [len(p["samples_ms"]["step"]) for p in found["processes"]] == [1, 1, 1]
    assert (found["stopped_by"], found["grown_until"]) == ("long", "long")


def test_a_failure_ends_the_growth_and_keeps_the_samples(measure: Measure) -> None:
    plan = plan_of([case()])
    folder, _ = measure(plan, run_job=DIFFERS)
    (whole,) = folder.records()
    folder.records_path.unlink()
    *lines, last = lines_of(whole)[:5]
    for line in [*lines, {**last, "status": "crash", "reason": "died", "part": None}]:
        folder.append_job(line)
    folder, jobs = measure(plan, run_job=DIFFERS)
    (record,) = folder.records()
    assert (jobs, record["status"]) == ([], "crash")
    assert len(record["time"]["processes"]) == 4
    assert record["time"]["grown_until"] == "failure"
    folder, jobs = measure(plan, run_job=DIFFERS, retry=("crash",))
    assert [job.index for job in jobs] == [4, 5, 6]
    assert [r["time"]["grown_until"] for r in folder.records()] == ["interval"]


def test_what_is_left_is_told_as_the_least(
    measure: Measure, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of([case()])
    plan.gflops = 100.0
    folder, _ = measure(plan, run_job=DIFFERS)
    (whole,) = folder.records()
    monkeypatch.setattr(runs, "RUNS", folder.path.parent)
    assert run_bench.main(["status", "test"]) == 0
    said = capsys.readouterr().out
    assert f"done: {N_DIFFERS} of {N_DIFFERS} processes" in said
    assert "left: nothing" in said
    folder.records_path.unlink()
    for n, told in ((2, (2, 3, 1)), (5, (5, 6, 1))):
        for line in lines_of(whole)[len(folder.job_lines()) : n]:
            folder.append_job(line)
        assert run_bench.main(["status", "test"]) == 0
        said = capsys.readouterr().out
        assert f"done: {told[0]} of {told[1]} processes" in said
        assert f"left: {told[2]} processes of 1 cases, at least " in said
    assert not Backlog(RunFolder(folder.path), plan_of([case(max_processes=3)])).may_grow()


def test_a_record_of_an_older_method_is_as_complete_as_it_was(measure: Measure) -> None:
    folder, _ = measure(plan_of([case(max_processes=2, processes=2)]))
    (record,) = folder.records()
    assert len(Backlog(folder, plan_of([case()])).open_jobs()) == 1
    folder.records_path.unlink()
    folder.append_record({**record, "method": 3})
    backlog = Backlog(folder, plan_of([case()]))
    assert (backlog.open_jobs(), len(backlog.records)) == ([], 1)


def test_the_prediction_knows_the_rules_of_timing() -> None:
    assert prediction.UNSAMPLED_S == timing.START_S
    assert prediction.ONE_SAMPLE_S == timing.LONG_S
    assert prediction.LONG == worker.LONG
    assert prediction.LEAST_TIMED_STEPS == 1 + 1 + timing.MIN_SAMPLES


def test_every_case_of_every_preset_has_three_processes_and_its_bar() -> None:
    from suites.engine.sweep.planning import find_suites

    bars = {"quick": {(0.5, 3)}, "cpu": {(0.1, 6)}, "gpu": {(0.1, 3)}, "paper": {(0.05, 10)}}
    for preset, expected in bars.items():
        suites = [suite for suite in find_suites().values() if preset in suite.presets]
        cases = [case.settings for suite in suites for case in suite.cases(preset)]
        cases = [settings for settings in cases if "time" in settings.measures]
        assert {(s.within, s.max_processes) for s in cases} == expected
        assert Counter(s.processes for s in cases).keys() == {3}
