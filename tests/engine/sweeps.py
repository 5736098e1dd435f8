"""Plans of planted cases, and the watcher of their sweeps."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from suites.base import make_case
from suites.engine.job import Job
from suites.engine.store.runs import Entry, Plan, RunFolder
from suites.settings import Settings

IDENTITY = {"machine": "test", "threads": 1}


class Quiet:
    """A watcher that only remembers which jobs ran."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def starting(self, job: Job, open_jobs: list[Job]) -> None:
        self.jobs.append(job)

    def finished(self, job: Job, line: Mapping[str, Any]) -> None:
        pass


def plan_of(settings: Iterable[Settings], suites: tuple[str, ...] = ("planted",)) -> Plan:
    """A plan of these cases, as `run_bench.py run` makes it."""
    cases = [make_case(one) for one in settings]
    entries = {case.id: Entry(case=case, suites=suites) for case in cases}
    return Plan(
        name="test", preset="quick", seeds=[0], device="cpu", entries=entries, identity=IDENTITY
    )


Measure = Callable[..., tuple[RunFolder, list[Job]]]
