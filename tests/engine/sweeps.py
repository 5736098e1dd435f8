"""Tests share plans of planted cases, what planted jobs find, and the watcher of their sweeps."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from suites.base import make_case
from suites.engine.code import Code
from suites.engine.job import Job
from suites.engine.store.plan import Entry, Plan
from suites.engine.store.records import JobLine
from suites.engine.store.runs import RunFolder
from suites.settings import Settings

IDENTITY = {"machine": "test", "threads": 1}
CODE: Code = {"commit": "", "dirty": False, "hash": "feedfeedfeed"}
BYTES_PER_MIB = 2**20
MEMORY = {
    "peak_bytes": 120 * BYTES_PER_MIB,
    "rest_bytes": 90 * BYTES_PER_MIB,
    "live_peak_bytes": 100 * BYTES_PER_MIB,
    "weights_bytes": 10 * BYTES_PER_MIB,
    "gradients_bytes": 10 * BYTES_PER_MIB,
    "optimizer_bytes": 10 * BYTES_PER_MIB,
    "baseline_bytes": 300 * BYTES_PER_MIB,
    "method": "vmhwm",
}
QUALITY = {
    "bits_per_dim": 3.0,
    "accuracy": 0.4,
    "curve": [[2, 3.0]],
    "train_curve": [[2, 3.1]],
    "evaluated_with": {},
    "heldout_tokens": 64,
    "train_tokens": 128,
    "data": {"name": "planted"},
}


def part_of(kind: str, **changes: Any) -> dict[str, Any]:
    """Return the part of a record of a job that ended well, as a worker reports it."""
    time = {
        "first_ms": {"step": 3.0},
        "samples_ms": {"step": [1.0, 1.1, 0.9]},
        "steady": True,
        "stopped_by": "interval",
        "disturbed": False,
        "readings": {},
    }
    return {"time": time, "memory": MEMORY, "quality": QUALITY}[kind] | changes


def result_of(kind: str, **changes: Any) -> dict[str, Any]:
    """Return what the process of a job that ended well sends."""
    return {
        "part": part_of(kind, **changes),
        "kernel": "planted",
        "identity": IDENTITY,
        "versions": {},
        "gflops": 100.0,
    }


class Quiet:
    """A quiet watcher shows nothing and remembers which jobs ran."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def starting(self, job: Job, open_jobs: Sequence[Job]) -> None:
        self.jobs.append(job)

    def finished(self, job: Job, line: JobLine) -> None:
        pass


def plan_of(settings: Iterable[Settings], suites: tuple[str, ...] = ("planted",)) -> Plan:
    """Make a plan of these cases, as `run_bench.py run` makes it."""
    cases = [make_case(one) for one in settings]
    entries = {case.id: Entry(case=case, suites=suites) for case in cases}
    return Plan(
        name="test", preset="quick", seeds=[0], device="cpu", entries=entries, identity=IDENTITY
    )


Measure = Callable[..., tuple[RunFolder, list[Job]]]
