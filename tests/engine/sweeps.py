"""Tests share plans of planted cases, and the watcher of their sweeps."""

from collections.abc import Callable, Iterable, Sequence

from findings import IDENTITY

from suites.base import make_case
from suites.engine.code import Code
from suites.engine.job import Job
from suites.engine.store.plan import Entry, Plan
from suites.engine.store.records import JobLine
from suites.engine.store.runs import RunFolder
from suites.settings import Settings

CODE: Code = {"commit": "", "dirty": False, "hash": "feedfeedfeed"}


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
