"""Trainings run side by side, everything else alone."""

from pathlib import Path
from typing import ClassVar

import planted
import pytest
from findings import result_of
from sweeps import Measure, plan_of

import run_bench
from suites.engine import commands
from suites.engine.job import Job, Outcome
from suites.engine.measure import worker
from suites.engine.store import runs
from suites.engine.sweep.executors import local
from suites.engine.sweep.executors.local import Running, run_in_process
from suites.settings import Settings


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "available_cores", lambda: 2)


class Planted:
    """A planted process runs until it is asked for its outcome; it notes beside whom it started."""

    running: ClassVar[list[Job]] = []
    starts: ClassVar[list[tuple[Job, list[Job], int]]] = []

    def __init__(self, function: str, job: Job, *, n_sharing: int, **options: object) -> None:
        self.job = job
        self.starts.append((job, [*self.running], n_sharing))
        self.running.append(job)

    def outcome(self) -> Outcome:
        self.running.remove(self.job)
        return Outcome(result_of(self.job.kind))


def test_two_trainings_at_a_time_and_nothing_beside_a_timing(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Planted, "running", [])
    monkeypatch.setattr(Planted, "starts", [])
    monkeypatch.setattr(local, "Running", Planted)
    monkeypatch.setattr(local, "first_done", lambda running: next(iter(running)))
    kinds = ("time", "memory", "quality")
    plan = plan_of([planted.settings_for(4, length=n, measures=kinds) for n in (64, 128)])
    plan.seeds = [0, 1]
    folder, jobs = measure(plan)
    assert len(jobs) == len(Planted.starts) == 2 * (2 + 1 + 2)
    beside = {kind: [] for kind in kinds}
    for job, others, n_sharing in Planted.starts:
        beside[job.kind].append(len(others))
        assert n_sharing == (2 if job.kind == "quality" else 1), "of the memory"
        assert all(other.kind == "quality" for other in others)
    assert beside == {"time": [0] * 4, "memory": [0] * 2, "quality": [0, 1, 1, 1]}
    assert all(record["status"] == "ok" for record in folder.records())


@pytest.mark.parametrize(
    ("device", "asked", "expected"),
    [("cpu", None, 2), ("cpu", 1, 1), ("cuda", None, 1), ("cuda", 4, 4)],
)
def test_as_many_trainings_run_at_once_as_are_asked_for(
    device: str, asked: int | None, expected: int, tmp_path: Path
) -> None:
    executor = local.Local(device, lambda case: tmp_path / case, n_trainings=asked)
    settings = Settings()
    jobs = [
        Job(case_id="x", kind="quality", index=0, seed=seed, settings=settings, device=device)
        for seed in range(6)
    ]
    for job in jobs:
        if executor.fits(job):
            executor.running[object()] = job
    assert len(executor.in_flight()) == expected
    timing = Job(case_id="x", kind="time", index=0, seed=0, settings=settings, device=device)
    assert not executor.fits(timing)


@pytest.mark.parametrize(
    ("device", "at_once", "timed"), [("cuda", 1, True), ("cuda", 4, False), ("cpu", 4, True)]
)
def test_the_seconds_of_trainings_that_shared_a_gpu_are_not_kept(
    device: str, at_once: int, timed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "first_done", lambda running: next(iter(running)))
    executor = local.Local(device, lambda case: tmp_path / case, n_trainings=at_once)
    for kind in ("quality", "time"):
        job = Job(case_id="x", kind=kind, index=0, seed=0, settings=Settings(), device=device)
        process = Planted("", job, n_sharing=1)
        part = {"curve": [[1, 2.0]], "curve_s": [0.5]}
        monkeypatch.setattr(process, "outcome", lambda part=part: Outcome({"part": part}))
        executor.running = {process: job}
        found = executor.first_done()
        assert found[0] is job
        assert ("curve_s" in found[1].result["part"]) == (timed or kind == "time")
        assert "curve" in found[1].result["part"]


@pytest.mark.parametrize("asked", [[], ["--trainings", "3"]])
def test_the_command_hands_on_how_many_trainings_are_asked_for(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told where a sweep would start; nothing is measured."""
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    made: list[int] = []

    def stop(_: object, executor: local.Local) -> int:
        made.append(executor.n_trainings)
        return 0

    monkeypatch.setattr(commands, "measure", stop)
    words = ["run", "hash_rounds", "--preset", "quick", "--device", "cpu", "--run", "told", *asked]
    assert commands.run(run_bench.make_parser().parse_args(words)) == 0
    assert made == [int(asked[1]) if asked else 2]


def test_two_trainings_run_at_the_same_time(measure: Measure) -> None:
    """Each real process ends only once it has seen the other."""
    plan = plan_of([planted.settings_for(planted.HEALTHY, measures=("quality",))])
    plan.seeds = [0, 1]
    folder, _ = measure(plan, run_job="planted:meet")
    assert [record["status"] for record in folder.records()] == ["ok", "ok"]


def test_a_training_that_fails_leaves_the_one_beside_it_alone(measure: Measure) -> None:
    ends = [planted.HANGS, planted.HEALTHY, planted.KILLED, planted.HEALTHY]
    settings = [
        planted.settings_for(end, length=64 * (i + 1), measures=("quality",))
        for i, end in enumerate(ends)
    ]
    folder, _ = measure(plan_of(settings), timeout_s=1.0)
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


def test_processes_side_by_side_share_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is free is planted: others may take memory or give it back while this runs."""
    monkeypatch.setattr(local, "enter", planted.enter_with_planted_memory)
    log = tmp_path / "log.txt"
    alone = run_in_process("planted:address_space", None, log=log).result
    running = Running("planted:address_space", None, log=log, n_sharing=2)
    shared = running.outcome() if running.is_done(None) else None
    assert shared is not None
    room, half = (found["limit"] - found["used"] for found in (alone, shared.result))
    assert half == pytest.approx(room / 2, rel=0.02)


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


def test_a_timeout_of_years_is_waited_for_in_parts(tmp_path: Path) -> None:
    """The system takes no such time; "1e9" is how a person says never."""
    done = local.run_in_process(f"{__name__}:answer", 3, log=tmp_path / "log", timeout_s=1e300)
    assert done.result == {"answer": 3}
    done = local.run_in_process(f"{__name__}:answer", 3, log=tmp_path / "log", timeout_s=1e9)
    assert done.failure is None


def answer(number: int) -> dict[str, int]:
    return {"answer": number}
