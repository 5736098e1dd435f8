"""Show a sweep while it runs: a bar on a terminal (rich), else a plain line per job. No torch."""

import sys
from collections.abc import Mapping
from typing import Any

from suites.engine.job import Job
from suites.engine.store.records import mispredicted
from suites.engine.sweep.estimates import Estimates, in_words
from suites.engine.sweep.scheduler import Sweep


def describe(job: Job, sweep: Sweep) -> str:
    """One job for people."""
    passes = f" {job.index + 1}/{job.settings.processes}" if job.kind == "time" else ""
    seeds = f" seed {job.seed}" if job.kind == "quality" and len(sweep.plan.seeds) > 1 else ""
    return f"{job.kind}{passes}{seeds}: {sweep.cases[job.case].label}"


def outcome(line: Mapping[str, Any]) -> str:
    """What a finished job found, in a few words."""
    if line["status"] != "ok":
        return f"{line['status'].upper()} {line['reason']}"
    part = line["part"] or {}
    if line["kind"] == "time":
        steps = sorted(part.get("samples_ms", {}).get("step", []))
        notes = [f"{steps[len(steps) // 2]:.4g} ms a step"] if steps else []
        notes += ["disturbed"] if part.get("disturbed") else []
        notes += ["not steady"] if part.get("steady") is False else []
        return ", ".join(notes)
    if line["kind"] == "memory" and "live_peak_bytes" in part:
        return (
            f"{part['peak_bytes'] / 2**20:.4g} MiB, live {part['live_peak_bytes'] / 2**20:.4g} MiB"
        )
    if line["kind"] == "quality" and "bits_per_dim" in part:
        return f"{part['bits_per_dim']:.4g} bits per dim"
    return ""


def warning(line: Mapping[str, Any]) -> str:
    """A word on a predicted peak that is far from the measured one."""
    return misprediction(line["part"]) if line["kind"] == "memory" else ""


def misprediction(memory: dict[str, Any] | None) -> str:
    """A warning if the predicted peak of this part of a record is more than 30 % off, else ""."""
    if memory is None or mispredicted(memory) is None:
        return ""
    predicted, measured = memory["predicted_bytes"], memory["live_peak_bytes"]
    return (
        f"warning: the predicted peak of {predicted / 2**20:.4g} MiB differs by more than 30 % "
        f"from the {measured / 2**20:.4g} MiB of live tensors"
    )


class PlainProgress:
    """A line per finished job."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.total, self.n_left, self.left_s = 0, 0, 0.0

    def __enter__(self) -> "PlainProgress":
        """Nothing to set up."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to take down."""

    def starting(self, job: Job, open_jobs: list[Job]) -> None:
        """See Watcher."""
        self.total = max(self.total, len(open_jobs))
        self.n_left = len(open_jobs)
        self.left_s = Estimates(self.sweep).total(open_jobs)

    def finished(self, job: Job, line: Mapping[str, Any]) -> None:
        """See Watcher."""
        self.n_left -= 1
        self.say(
            f"[{self.total - self.n_left}/{self.total}, {in_words(self.left_s)} left] "
            f"{describe(job, self.sweep)}: {outcome(line)} ({line['wall_s']:.1f} s)"
        )
        if warning(line):
            self.say(f"  {warning(line)}")

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)


class RichProgress(PlainProgress):
    """A bar with the time left; failures and warnings as lines above it."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep)
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (BarColumn(), TextColumn("{task.completed}/{task.total} {task.description}"))
        # redrawn only on events: a drawing thread would disturb what is measured
        self.bar = Progress(*columns, auto_refresh=False)
        self.task = self.bar.add_task("")

    def __enter__(self) -> "RichProgress":
        """Start drawing."""
        self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the terminal as it was."""
        self.bar.stop()

    def starting(self, job: Job, open_jobs: list[Job]) -> None:
        """See Watcher."""
        super().starting(job, open_jobs)
        self.draw(job)

    def finished(self, job: Job, line: Mapping[str, Any]) -> None:
        """See Watcher."""
        self.n_left -= 1
        if line["status"] != "ok":
            self.say(f"{describe(job, self.sweep)}: {outcome(line)}")
        if warning(line):
            self.say(f"{describe(job, self.sweep)}: {warning(line)}")
        self.draw(job)

    def draw(self, job: Job) -> None:
        """Show the bar as it stands."""
        description = f"{in_words(self.left_s)} left, {describe(job, self.sweep)}"
        done = self.total - self.n_left
        self.bar.update(self.task, completed=done, total=self.total, description=description)
        self.bar.refresh()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.console.print(text, markup=False, highlight=False)


def make_progress(sweep: Sweep) -> PlainProgress:
    """The display that fits where the output goes."""
    return RichProgress(sweep) if sys.stdout.isatty() else PlainProgress(sweep)
