"""How long what is left will take is estimated from measured durations, else by formula.

No torch.
"""

from collections.abc import Iterable

from reformer.checks import require
from suites.engine.job import Job
from suites.engine.sweep.backlog import Backlog
from suites.engine.sweep.prediction import predict_job_s


class Estimates:
    """Estimates tell how many seconds a job will take.

    It takes as long as the same kind of job of the same case took, if one was measured; else as
    predicted, corrected by how measured and predicted durations of that kind compare so far.
    n_trainings: how many trainings run side by side. Raises ValueError on a plan without the
    machine's speed, as damage leaves it.
    """

    def __init__(self, backlog: Backlog, n_trainings: int) -> None:
        self.gflops, self.n_trainings = backlog.plan.gflops, n_trainings
        require(
            self.gflops > 0,
            f"the plan of run {backlog.plan.name!r} says gflops {self.gflops:g}; a machine's speed "
            "is above 0: use another --run name",
        )
        self.may_grow = backlog.may_grow()
        self.measured: dict[tuple[str, str], float] = {}
        totals: dict[str, list[float]] = {}
        for job in (job for jobs in backlog.jobs.values() for job in jobs):
            line = backlog.ledger.line(job)
            if line is not None and line["status"] == "ok":
                self.measured[job.case_id, job.kind] = line["wall_s"]
                total = totals.setdefault(job.kind, [0.0, 0.0])
                total[0] += line["wall_s"]
                total[1] += self.predicted(job)
        self.factor = {kind: found / expected for kind, (found, expected) in totals.items()}

    def predicted(self, job: Job) -> float:
        """Return the seconds that the formula predicts; trainings share the cores evenly."""
        share = self.n_trainings if job.kind == "quality" else 1
        return predict_job_s(job.settings, job.kind, self.gflops / share)

    def seconds(self, job: Job) -> float:
        """Return the seconds that a job will take."""
        known = self.measured.get((job.case_id, job.kind))
        return known if known is not None else self.predicted(job) * self.factor.get(job.kind, 1.0)

    def total(self, jobs: Iterable[Job]) -> float:
        """Return the seconds that all jobs will take, trainings side by side as they run."""
        alone, trainings = 0.0, [0.0]
        for job in jobs:
            if job.kind == "quality":
                trainings.append(self.seconds(job))
            else:
                alone += self.seconds(job)
        return alone + max(max(trainings), sum(trainings) / self.n_trainings)

    def left_in_words(self, jobs: Iterable[Job], n_sweeps: int = 1) -> str:
        """Say how long all jobs will take: "at least" so long if timings may need more of them.

        n_sweeps: how many like sweeps take turns.
        """
        return ("at least " if self.may_grow else "about ") + in_words(n_sweeps * self.total(jobs))


def in_words(seconds: float) -> str:
    """Say a duration for people: "40 s", "12 min", "3.4 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
