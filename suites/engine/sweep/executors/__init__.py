"""Where jobs run: the interface that a sweep sees, with this machine (local.py) behind it.

Another executor starts the same jobs elsewhere: child.py is the far side, so that out-of-memory,
timeouts and signals are judged where they happen.
"""

from collections.abc import Sequence
from typing import Protocol

from suites.engine.job import Job, Outcome


class Executor(Protocol):
    """What a sweep asks of the machines that do its jobs."""

    def fits(self, job: Job) -> bool:
        """May the job start now, beside those that run?"""

    def start(self, job: Job, waiting: Sequence[Job]) -> None:
        """Start a job. waiting: all jobs that are not done, this one included."""

    def in_flight(self) -> Sequence[Job]:
        """The jobs that run now."""

    def first_done(self) -> tuple[Job, Outcome | None]:
        """Wait for the first job that ends, and say how; None if its node was lost.

        A lost node is no failure of the case: the sweep starts the job again.
        """

    def stop(self) -> None:
        """End whatever runs."""
