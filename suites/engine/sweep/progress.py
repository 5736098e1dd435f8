"""A sweep is shown while it runs: a bar on a terminal (rich), else a plain line per job.

No torch.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from suites.engine.job import Job
from suites.engine.store.records import PREDICTED_WITHIN, JobLine, mispredicted
from suites.engine.sweep.backlog import Backlog
from suites.engine.sweep.estimates import Estimates
from suites.engine.sweep.growth import is_further, least, limit


def job_words(job: Job, backlog: Backlog) -> str:
    """Say which job this is: its kind, pass or seed, and the name of its case."""
    passes = f" {job.index + 1}/{least(job.settings)}" if job.kind == "time" else ""
    passes = f" {job.index + 1} (at most {limit(job.settings)})" if is_further(job) else passes
    seeds = f" seed {job.seed}" if job.kind == "quality" and len(backlog.plan.seeds) > 1 else ""
    return f"{job.kind}{passes}{seeds}: {backlog.names[job.case_id]}"


def outcome_words(line: JobLine) -> str:
    """Say what a finished job found, or its status and reason if it failed."""
    if line["status"] != "ok":
        return f"{line['status'].upper()} {line['reason']}"
    part = line["part"] or {}
    if line["kind"] == "time":
        steps = part["samples_ms"].get("step", [])
        notes = [f"{median(steps):.4g} ms a step"] if steps else []
        notes += ["disturbed"] if part["disturbed"] else []
        notes += [] if part["steady"] or part["stopped_by"] == "long" else ["not steady"]
        return ", ".join(notes)
    if line["kind"] == "memory":
        peak, live = (part[name] / 2**20 for name in ("peak_bytes", "live_peak_bytes"))
        return f"{peak:.4g} MiB, live {live:.4g} MiB"
    return f"{part['bits_per_dim']:.4g} bits per dim"


def misprediction(part: Mapping[str, Any] | None) -> str:
    """Warn if the predicted peak in a part is far from the measured one; "" if not, or if none."""
    if part is None or mispredicted(part) is None:
        return ""
    predicted, measured = part["predicted_bytes"], part["live_peak_bytes"]
    within = f"{100 * PREDICTED_WITHIN:.0f} %"
    return (
        f"warning: the predicted peak of {predicted / 2**20:.4g} MiB differs by more than {within} "
        f"from the {measured / 2**20:.4g} MiB of live tensors"
    )


class PlainProgress:
    """Plain progress is a line per finished job.

    n_trainings: how many trainings run side by side. n_sweeps: how many like sweeps take turns.
    """

    def __init__(self, backlog: Backlog, n_trainings: int, n_sweeps: int = 1) -> None:
        self.backlog, self.n_trainings, self.n_sweeps = backlog, n_trainings, n_sweeps
        self.n_done, self.n_left, self.left = 0, 0, ""

    def __enter__(self) -> "PlainProgress":
        """Return itself: there is nothing to set up."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Return at once: there is nothing to take down."""

    def starting(self, job: Job, open_jobs: Sequence[Job]) -> None:
        """Count what is left, which may have grown, and estimate how long it will take."""
        self.n_left = len(open_jobs)
        estimates = Estimates(self.backlog, self.n_trainings)
        self.left = estimates.left_in_words(open_jobs, self.n_sweeps)

    def finished(self, job: Job, line: JobLine) -> None:
        """Count a job as done, and print what it found, with a warning if not as predicted."""
        self.n_done, self.n_left = self.n_done + 1, self.n_left - 1
        self.say(self.words(job, line))
        if warning := misprediction(line["part"]):
            self.say(f"  {warning}")

    def words(self, job: Job, line: JobLine) -> str:
        """Say what a job found, how much is done and how much is left."""
        return (
            f"[{self.n_done}/{self.n_done + self.n_left}, {self.left} left] "
            f"{job_words(job, self.backlog)}: {outcome_words(line)} ({line['wall_s']:.1f} s)"
        )

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)


class RichProgress(PlainProgress):
    """Rich progress is a bar with the time left and what is measured; what is done stands above."""

    def __init__(self, backlog: Backlog, n_trainings: int, n_sweeps: int = 1) -> None:
        super().__init__(backlog, n_trainings, n_sweeps)
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        one_line = Column(no_wrap=True, overflow="ellipsis")
        left = TextColumn("{task.completed}/{task.total}, {task.fields[left]} left:")
        now = TextColumn("{task.description}", markup=False, table_column=one_line)
        # redrawn only on events: a drawing thread would disturb what is measured
        self.bar = Progress(BarColumn(bar_width=10), left, now, auto_refresh=False)
        self.task = self.bar.add_task("", left="", visible=False)

    def __enter__(self) -> "RichProgress":
        """Start drawing."""
        self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the terminal as it was."""
        self.bar.stop()

    def starting(self, job: Job, open_jobs: Sequence[Job]) -> None:
        """Count what is left, estimate how long it will take, and draw."""
        super().starting(job, open_jobs)
        self.draw(job)

    def finished(self, job: Job, line: JobLine) -> None:
        """Print what a job found above the bar, with a warning if not as predicted, and draw."""
        super().finished(job, line)
        self.draw(job)

    def words(self, job: Job, line: JobLine) -> str:
        """Say what a job found: the bar says the rest."""
        return f"{job_words(job, self.backlog)}: {outcome_words(line)}"

    def draw(self, job: Job) -> None:
        """Show the bar as it stands."""
        self.bar.update(
            self.task,
            visible=True,
            completed=self.n_done,
            total=self.n_done + self.n_left,
            description=job_words(job, self.backlog),
            left=self.left,
        )
        self.bar.refresh()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.console.print(text, markup=False, highlight=False)


def make_progress(backlog: Backlog, n_trainings: int, n_sweeps: int = 1) -> PlainProgress:
    """Make the display that fits where the output goes."""
    # a dumb terminal cannot go back over a line
    can_draw = os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    display = RichProgress if can_draw and sys.stdout.isatty() else PlainProgress
    return display(backlog, n_trainings, n_sweeps)
