"""Failures are rows: six planted ones get status and reason, the cases around them numbers."""

import os
import resource
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import planted
import pytest
from quiet import quiet_tries
from sweeps import Measure, plan_of

from suites.engine import host
from suites.engine.failures import failure_of_error, failure_of_exit
from suites.engine.sweep import doctor
from suites.engine.sweep.executors import child, local
from suites.engine.sweep.executors.local import run_in_process

ONCE = {"processes": 1, "max_processes": 1}
TRIES = 3
FAILING = {
    planted.RAISES: ("crash", "RuntimeError: planted failure"),
    planted.GROWS: ("oom", "16,777,216 bytes asked for"),
    planted.HANGS: ("timeout", "not done after 1 s"),
    planted.SEGFAULTS: ("crash", "SIGSEGV"),
    planted.KILLED: ("crash", "SIGKILL"),
    planted.DIVERGES: ("diverged", "loss was"),
}


def test_each_failure_is_a_row_and_the_cases_around_it_are_measured(measure: Measure) -> None:
    settings = [planted.settings_for(end) for end in FAILING]
    before = planted.settings_for(planted.HEALTHY)
    after = planted.settings_for(planted.HEALTHY, length=128)
    folder, _ = measure(plan_of([before, *settings, after]), timeout_s=1.0)

    found = {record["settings"]["d_ff"]: record for record in folder.records()}
    for end, (status, reason) in FAILING.items():
        record = found[end]
        assert record["status"] == status, record["reason"]
        assert reason in record["reason"]
        assert record["time"] is None
        assert (folder.path / "logs" / f"{record['case']}.txt").exists()
    healthy = [r for r in folder.records() if r["settings"]["d_ff"] == planted.HEALTHY]
    assert len(healthy) == 2
    for record in healthy:
        assert record["status"] == "ok"
        pids = [process["pid"] for process in record["time"]["processes"]]
        assert len({*pids, record["memory"]["pid"], os.getpid()}) == 4


def test_given_up_cases_cost_one_job_crashed_ones_are_tried_for_memory(measure: Measure) -> None:
    ends = [planted.GROWS, planted.RAISES]
    _, jobs = measure(plan_of(map(planted.settings_for, ends)))
    tried = {end: [j.kind for j in jobs if j.settings.d_ff == end] for end in ends}
    assert tried == {planted.GROWS: ["time"], planted.RAISES: ["time", "memory"]}


def test_what_was_measured_stays_beside_a_later_failure(measure: Measure) -> None:
    folder, _ = measure(plan_of([planted.settings_for(planted.FAILS_LATE)]))
    (record,) = folder.records()
    assert record["status"] == "crash"
    assert "while measuring memory" in record["reason"]
    assert record["memory"] is None
    assert len(record["time"]["processes"]) == 2


def test_prune_skips_only_longer_lengths_of_the_same_settings(measure: Measure) -> None:
    lengths = [planted.settings_for(planted.GROWS, length=n) for n in (64, 128)]
    other = planted.settings_for(planted.HEALTHY, length=128)
    folder, _ = measure(plan_of([*lengths, other]), prune=True)
    status = {(r["settings"]["d_ff"], r["settings"]["length"]): r for r in folder.records()}
    assert status[planted.GROWS, 64]["status"] == "oom"
    assert status[planted.GROWS, 128]["status"] == "skipped"
    assert "out of memory at length 64" in status[planted.GROWS, 128]["reason"]
    assert status[planted.HEALTHY, 128]["status"] == "ok"


def test_prune_sees_what_a_sweep_ties_to_the_length(measure: Measure) -> None:
    """At a constant number of tokens the batch changes with the length, and nothing else does."""
    tied = [planted.settings_for(planted.GROWS, length=n, batch=256 // n) for n in (64, 128)]
    folder, _ = measure(plan_of(tied), prune=True)
    assert [r["status"] for r in folder.records()] == ["oom", "skipped"]


def test_prune_does_not_see_more_tokens_at_a_shorter_length(measure: Measure) -> None:
    more = [planted.settings_for(planted.GROWS, length=n, batch=b) for n, b in ((64, 8), (128, 1))]
    folder, _ = measure(plan_of(more), prune=True)
    assert [r["status"] for r in folder.records()] == ["oom", "oom"]


def test_longer_lengths_are_tried_without_prune(measure: Measure) -> None:
    lengths = [planted.settings_for(planted.GROWS, length=n) for n in (64, 128)]
    folder, _ = measure(plan_of(lengths))
    assert [record["status"] for record in folder.records()] == ["oom", "oom"]


def test_a_disturbed_timing_runs_once_more_and_both_are_kept(measure: Measure) -> None:
    folder, jobs = measure(plan_of([planted.settings_for(planted.DISTURBED)]))
    assert [job.index for job in jobs if job.kind == "time"] == [0, 0, 1, 1]
    time_part = folder.records()[0]["time"]
    assert len(time_part["processes"]) == len(time_part["replaced"]) == 2
    pids = [p["pid"] for p in time_part["processes"] + time_part["replaced"]]
    assert len(set(pids)) == 4


def test_a_disturbed_timing_stays_if_its_second_try_fails(measure: Measure) -> None:
    plan = plan_of([planted.settings_for(planted.FAILS_AGAIN, measures=("time",), **ONCE)])
    folder, jobs = measure(plan)
    assert folder.job_lines() == [], "all that is in a record is in the record alone"
    (record,) = folder.records()
    assert [job["status"] for job in record["jobs"]] == ["ok", "crash"]
    assert record["status"] == "ok"
    assert record["time"]["processes"][0]["disturbed"] is True
    assert "replaced" not in record["time"]
    assert len(jobs) == 2
    assert measure(plan)[1] == []


def test_the_address_space_is_limited_to_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is free is planted: others may take memory or give it back while this runs."""
    monkeypatch.setattr(local, "enter", planted.enter_with_planted_memory)
    log = tmp_path / "log.txt"
    found = run_in_process("planted:address_space", None, log=log).result
    room = planted.AVAILABLE_BYTES - child.RESERVE_BYTES
    assert found["limit"] - found["used"] == pytest.approx(room, rel=0.02)
    free = run_in_process("planted:address_space", None, log=log, limit_memory=False).result
    assert free["limit"] == resource.RLIM_INFINITY


def test_a_container_may_have_less_than_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host.psutil, "virtual_memory", lambda: SimpleNamespace(available=600))
    monkeypatch.setattr(host, "CGROUP", tmp_path)
    assert host.available_bytes() == 600, "no control group"
    for name, text in (
        ("memory.max", "1000\n"),
        ("memory.current", "700\n"),
        ("memory.stat", "anon 500\ninactive_file 200\n"),
    ):
        (tmp_path / name).write_text(text)
    assert host.available_bytes() == 1000 - 700 + 200
    (tmp_path / "memory.current").write_text("100\n")
    assert host.available_bytes() == 600, "the machine has less"
    (tmp_path / "memory.max").write_text("max\n")
    assert host.available_bytes() == 600


def test_an_outside_sigkill_is_a_crash_unless_the_kernel_killed_for_memory(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("last words\n")
    crash = failure_of_exit(-signal.SIGKILL, 0, log, 0)
    assert crash == ("crash", "killed by signal SIGKILL; log: last words")
    assert failure_of_exit(-signal.SIGKILL, 1, log, 0).status == "oom"
    assert failure_of_exit(-signal.SIGSEGV, 1, log, 0).status == "crash"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (MemoryError(), "oom", "out of memory"),
        (
            RuntimeError(
                "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity"
            ),
            "oom",
            f"out of memory: {int(2.5 * 2**30):,} bytes asked for",
        ),
        (ValueError(""), "crash", "ValueError: no message"),
    ],
)
def test_exceptions_are_told_apart(error: Exception, status: str, reason: str) -> None:
    assert failure_of_error(error) == (status, reason)


@pytest.mark.slow
def test_a_sweep_of_100_tiny_cases_costs_under_15_percent(measure: Measure, tmp_path: Path) -> None:
    """What a sweep takes besides its jobs' time is seen on a real and quiet machine alone."""
    budget = 0.4  # the quick preset's
    once = {"measures": ("time",), "time_budget_s": budget, **ONCE}
    # starts the fork server
    run_in_process(doctor.NOTHING, None, log=tmp_path / "log.txt")
    for i in quiet_tries(TRIES):
        # another length each time, or nothing would be left to measure
        cases = [planted.settings_for(4 * k + 4, length=64 * (i + 1), **once) for k in range(100)]
        start = time.monotonic()
        _, jobs = measure(plan_of(cases), run_job="findings:take_a_while")
        wall = time.monotonic() - start
        assert len(jobs) == 100
        share = 1 - len(jobs) * budget / wall
        if share < 0.15:
            break
    assert share < 0.15
