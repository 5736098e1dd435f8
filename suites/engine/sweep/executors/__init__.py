"""Jobs run on an executor; a sweep sees this interface, with this machine (local.py) behind it.

Another executor starts the same jobs elsewhere: child.py is the far side, so that out-of-memory,
timeouts and signals are judged where they happen.
"""

from collections.abc import Sequence
from typing import Protocol

from suites.engine.job import Job, Outcome


class Executor(Protocol):
    """An executor runs the jobs of a sweep on some machine or machines."""

    def fits(self, job: Job) -> bool:
        """Return whether the job may start now, beside those that run."""

    def start(self, job: Job, waiting: Sequence[Job]) -> None:
        """Start a job. waiting: all jobs that are not done, this one included."""

    def in_flight(self) -> Sequence[Job]:
        """Return the jobs that run now."""

    def first_done(self) -> tuple[Job, Outcome | None]:
        """Wait for the first job that ends, and return it with how it ended.

        That is None if its node was lost, which is no failure of the case: the sweep starts the job
        again.
        """

    def stop(self) -> None:
        """End all jobs that still run."""
