"""A sweep runs what a run lacks, and keeps what it finds. No torch.

Passes of timing are interleaved over all cases, so that drift of the machine falls on all alike;
a case has further passes until its time is known (growth.py). Trainings come last. Each finished
job is on disk before the next starts, so a kill at any moment loses at most the jobs in flight.
"""

from collections.abc import Sequence
from typing import Protocol

from suites.effects import HOW, QUALITY_ONLY
from suites.engine.failures import Failure
from suites.engine.job import Job, Outcome
from suites.engine.store.records import JobLine
from suites.engine.sweep.backlog import Backlog
from suites.engine.sweep.executors import Executor
from suites.engine.sweep.merging import line_of
from suites.settings import SETTINGS, Settings

# What a sweep over lengths may change with the length: how much of it is done at a time, and how it
# is measured.
TIED_TO_LENGTH = (
    *("length", "batch", "ff_chunks", "loss_chunks", "axial_positions"),
    *HOW,
    *QUALITY_ONLY,
)


class Watcher(Protocol):
    """A watcher is told what happens in a sweep, to show it."""

    def starting(self, job: Job, open_jobs: Sequence[Job]) -> None:
        """Learn that a job starts; open_jobs are those not done, this one included."""

    def finished(self, job: Job, line: JobLine) -> None:
        """Learn that a job has ended and its line was written."""


class Sweep:
    """A sweep is one pass over what a run lacks.

    prune: skip the longer lengths of what ran out of memory.
    """

    def __init__(self, backlog: Backlog, executor: Executor, prune: bool = False) -> None:
        self.backlog, self.executor, self.prune = backlog, executor, prune

    def run(self, watcher: Watcher) -> None:
        """Measure what is left. Raises OSError when the folder cannot be written."""
        backlog, executor = self.backlog, self.executor
        backlog.write_due(backlog.cases)
        queue = backlog.open_jobs()
        try:
            while queue or executor.in_flight():
                if queue and executor.fits(queue[0]):
                    job = queue.pop(0)
                    if backlog.ledger.is_open(job):
                        self.start(job, watcher)
                    continue
                job, outcome = executor.first_done()
                if outcome is not None:
                    self.keep(job, outcome, watcher)
                # a disturbed job is due again, or a further pass of its case
                running = executor.in_flight()
                queue = [job for job in backlog.open_jobs() if job not in running]
        finally:
            executor.stop()
            backlog.folder.drop_superseded()

    def start(self, job: Job, watcher: Watcher) -> None:
        """Start a job, or write it down as skipped if it is pruned."""
        waiting = self.backlog.open_jobs()
        watcher.starting(job, waiting)
        reason = self.pruned(job) if self.prune else ""
        if reason:
            self.keep(job, Outcome(failure=Failure("skipped", reason)), watcher)
        else:
            self.executor.start(job, waiting)

    def keep(self, job: Job, outcome: Outcome, watcher: Watcher) -> None:
        """Write down how a job ended."""
        line = line_of(job, outcome, self.backlog.code, self.backlog.plan)
        self.backlog.keep(line, self.executor.in_flight())
        watcher.finished(job, line)

    def pruned(self, job: Job) -> str:
        """Say why the job is not tried, "" if it is.

        It is not if the same ran out of memory at a smaller length.
        """
        for case_id, case in self.backlog.cases.items():
            is_out_of_memory = self.backlog.ledger.has_status(case_id, "oom")
            if is_out_of_memory and is_shorter(case.settings, job.settings):
                return f"pruned: out of memory at length {case.settings.length} already"
        return ""


def is_shorter(one: Settings, other: Settings) -> bool:
    """Return whether `one` is the model of `other` at a smaller length and at no more tokens."""
    if one.length >= other.length or one.batch * one.length > other.batch * other.length:
        return False
    return all(
        getattr(one, name) == getattr(other, name)
        for name in SETTINGS
        if name not in TIED_TO_LENGTH
    )
