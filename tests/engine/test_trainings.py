"""Trainings run side by side, everything else alone."""

import itertools
from pathlib import Path

import planted
import pytest
from sweeps import Measure, plan_of

from suites.engine.job import Job
from suites.engine.measure import worker
from suites.engine.sweep.executors import local
from suites.engine.sweep.executors.local import Running, run_in_process
from suites.engine.sweep.merging import lines_of
from suites.settings import Settings

SPAN_S = 0.6


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "available_cores", lambda: 2)


def overlap(a: list[float], b: list[float]) -> float:
    return min(a[1], b[1]) - max(a[0], b[0])


def test_two_trainings_at_a_time_and_nothing_beside_a_timing(measure: Measure) -> None:
    settings = [
        planted.settings_for(
            4, length=length, measures=("time", "memory", "quality"), time_budget_s=SPAN_S
        )
        for length in (64, 128)
    ]
    plan = plan_of(settings)
    plan.seeds = [0, 1]
    folder, jobs = measure(plan, run_job="planted:note_span")
    assert len(jobs) == 2 * (2 + 1 + 2)
    lines = [line for record in folder.records() for line in lines_of(record)]
    for a, b in itertools.combinations(lines, 2):
        if not a["kind"] == b["kind"] == "quality":
            assert overlap(a["part"]["span"], b["part"]["span"]) < 0
    spans = [line["part"]["span"] for line in lines if line["kind"] == "quality"]
    together = [overlap(a, b) > SPAN_S / 2 for a, b in itertools.combinations(spans, 2)]
    assert sum(together) == 2
    assert all(record["status"] == "ok" for record in folder.records())


def test_a_training_that_fails_leaves_the_one_beside_it_alone(measure: Measure) -> None:
    ends = [planted.HANGS, planted.HEALTHY, planted.KILLED, planted.HEALTHY]
    settings = [
        planted.settings_for(end, length=64 * (i + 1), measures=("quality",))
        for i, end in enumerate(ends)
    ]
    folder, _ = measure(plan_of(settings), timeout_s=2.0)
    status = {r["settings"]["length"]: r["status"] for r in folder.records()}
    assert status == {64: "timeout", 128: "ok", 192: "crash", 256: "ok"}


def test_an_interrupted_sweep_leaves_no_process(measure: Measure) -> None:
    started: list[Running] = []

    def give_up(self: Running, *arguments: object, **options: object) -> None:
        initialise(self, *arguments, **options)
        started.append(self)
        if len(started) == 2:
            raise KeyboardInterrupt

    initialise = Running.__init__
    settings = [
        planted.settings_for(planted.HANGS, length=n, measures=("quality",)) for n in (64, 128)
    ]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Running, "__init__", give_up)
        measure(plan_of(settings))
    assert not started[0].process.is_alive()
    started[1].kill()


def test_processes_side_by_side_share_the_memory(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    alone = run_in_process("planted:address_space", None, log=log).result
    running = Running("planted:address_space", None, log=log, n_sharing=2)
    shared = running.outcome() if running.is_done(None) else None
    assert shared is not None
    room, half = (found["limit"] - found["used"] for found in (alone, shared.result))
    assert half == pytest.approx(room / 2, rel=0.1)


@pytest.mark.parametrize(
    ("kind", "device", "threads"),
    [("quality", "cpu", 1), ("time", "cpu", 6), ("memory", "cpu", 6), ("quality", "cuda", 6)],
)
def test_a_training_on_the_cpu_has_one_thread(
    kind: str, device: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "available_cores", lambda: 6)
    job = Job(case_id="x", kind=kind, index=0, seed=0, settings=Settings(), device=device)
    assert worker.n_threads(job) == threads
