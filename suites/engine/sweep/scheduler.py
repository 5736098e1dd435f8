"""Run the jobs of a plan, and keep what they find. No torch.

Passes of timing are interleaved over all cases, and nothing else runs beside one. Trainings come
last, on the CPU several at once with one thread each: that a second thread hardly helps is measured
(at 2 layers of 128 and 512 to 1,024 tokens), and so the curve of a seed does not depend on the
number of cores. Each finished job is on disk before the next starts, so a kill at any moment loses
at most the jobs in flight.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from suites.engine.code import code_state
from suites.engine.failures import Failure
from suites.engine.host import available_cores
from suites.engine.job import Job
from suites.engine.store.records import Record
from suites.engine.store.runs import Plan, RunFolder
from suites.engine.sweep.executors.local import Outcome, Running, first_done
from suites.engine.sweep.ledger import Ledger, in_order, job_line, jobs_of, merge
from suites.settings import HOW, QUALITY_ONLY, SETTINGS, Settings

RUN_JOB = "suites.engine.measure.worker:run_job"
# What a sweep over lengths may change with the length: how much of it is done at a time, and how it
# is measured.
TIED_TO_LENGTH = (
    *("length", "batch", "ff_chunks", "loss_chunks", "axial_positions"),
    *HOW,
    *QUALITY_ONLY,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run, as opposed to what."""

    timeout_s: float = math.inf  # per job
    retry: tuple[str, ...] = ()  # statuses whose cases are tried again
    prune: bool = False  # skip longer lengths of what ran out of memory
    data: Mapping[str, str] = field(default_factory=dict)  # task to path
    run_job: str = RUN_JOB  # "package.module:function", called in the job's process


class Watcher(Protocol):
    """Told what happens, to show it."""

    def starting(self, job: Job, open_jobs: list[Job]) -> None:
        """A job starts; open_jobs are those not done, this one included."""

    def finished(self, job: Job, line: Mapping[str, Any]) -> None:
        """A job's line was written."""


class Sweep:
    """One pass over what a run lacks.

    plan: all that the run folder holds; cases: the ids to measure now (all, if None).
    """

    def __init__(
        self, folder: RunFolder, plan: Plan, options: Options, cases: set[str] | None = None
    ) -> None:
        self.folder, self.plan, self.options = folder, plan, options
        self.cases = {
            case_id: entry.case
            for case_id, entry in plan.entries.items()
            if cases is None or case_id in cases
        }
        self.jobs = {
            case_id: jobs_of(case_id, case, plan, options.data.get(case.settings.task))
            for case_id, case in self.cases.items()
        }
        self.code = code_state()
        lines = folder.read_jobs()
        ours = [line for line in lines if self.is_of_this_code(line)]
        self.ledger = Ledger(ours, options.retry)
        self.records = {
            (record["case"], record["seed"]): record
            for record in folder.read_records()
            if record["status"] not in options.retry
        }
        recorded = {case_id for case_id, _ in self.records}
        # a record has one code: what other code found of an unfinished case is measured again
        self.n_outdated = sum(
            line["case"] not in recorded and not self.is_of_this_code(line) for line in lines
        )
        self.n_trainings = available_cores() if plan.device == "cpu" else 1

    def is_of_this_code(self, line: Mapping[str, Any]) -> bool:
        """Was the line of a job measured by the code that runs now?"""
        return bool((line.get("code") or {}).get("hash") == self.code["hash"])

    def open_jobs(self) -> list[Job]:
        """What is left, in order: jobs without a line, of cases and seeds without a record."""
        return in_order(
            job
            for jobs in self.jobs.values()
            for job in jobs
            if (job.case, job.seed) not in self.records and self.ledger.is_open(job)
        )

    def run(self, watcher: Watcher) -> None:
        """Measure what is left. Raises OSError when the folder cannot be written."""
        for case_id in self.cases:
            self.write_due(case_id)
        queue = self.open_jobs()
        running: dict[Running, Job] = {}
        try:
            while queue or running:
                if queue and self.fits(queue[0], running):
                    job = queue.pop(0)
                    if self.ledger.is_open(job):
                        left = self.open_jobs()
                        watcher.starting(job, left)
                        self.start(job, left, running, watcher)
                    continue
                done = first_done(running)
                job = running.pop(done)
                self.keep(job, outcome_line(job, done.outcome(), self.code), watcher)
                if self.ledger.is_open(job):
                    queue = in_order([*queue, job])
        finally:
            for one in running:
                one.kill()

    def fits(self, job: Job, running: Mapping[Running, Job]) -> bool:
        """May the job start now? Only trainings run beside others, trainings too."""
        if not running:
            return True
        trainings = all(other.kind == "quality" for other in (job, *running.values()))
        return trainings and len(running) < self.n_trainings

    def start(
        self, job: Job, left: list[Job], running: dict[Running, Job], watcher: Watcher
    ) -> None:
        """Start a job in its process, or prune it. left: all open jobs, this one included."""
        reason = self.pruned(job) if self.options.prune else ""
        if reason:
            self.keep(job, job_line(job, "skipped", reason, 0.0, self.code), watcher)
            return
        n_trainings = sum(other.kind == "quality" for other in left)
        process = Running(
            self.options.run_job,
            job,
            log=self.folder.log_path(job.case),
            timeout_s=self.options.timeout_s,
            limit_memory=self.plan.device == "cpu",
            n_sharing=min(self.n_trainings, n_trainings) if job.kind == "quality" else 1,
        )
        running[process] = job

    def keep(self, job: Job, line: Record, watcher: Watcher) -> None:
        """Write down what a job found, and the records that are complete with it."""
        self.folder.append_job(line)
        self.ledger.add(line)
        self.write_due(job.case)
        watcher.finished(job, line)

    def pruned(self, job: Job) -> str:
        """Why not to try the job: the same at a smaller length ran out of memory."""
        for case_id, case in self.cases.items():
            if self.ledger.has_status(case_id, "oom") and is_shorter(case.settings, job.settings):
                return f"pruned: out of memory at length {case.settings.length} already"
        return ""

    def write_due(self, case_id: str) -> None:
        """Append the records of a case whose jobs are all done, once."""
        case, jobs = self.cases[case_id], self.jobs[case_id]
        seeds = list(dict.fromkeys(job.seed for job in jobs)) or self.plan.seeds[:1]
        suites = list(self.plan.entries[case_id].suites)
        for seed in seeds:
            of_seed = [job for job in jobs if job.seed == seed]
            record = self.records.get((case_id, seed))
            if record is None and any(map(self.ledger.is_open, of_seed)):
                continue
            if record is None:
                record = self.complete(merge(case_id, case, seed, of_seed, self.ledger), suites)
            elif record["suites"] == suites:
                continue
            # a case that a further suite now shares keeps its numbers
            record = {**record, "suites": suites}
            self.folder.append_record(record)
            self.records[case_id, seed] = record

    def complete(self, record: Record, suites: list[str]) -> Record:
        """Add what the run knows: suites, identity, code."""
        return {**record, "suites": suites, "identity": self.plan.identity, "code": self.code}


def is_shorter(one: Settings, other: Settings) -> bool:
    """Are these the same model at a smaller length, and at no more tokens?"""
    if one.length >= other.length or one.batch * one.length > other.batch * other.length:
        return False
    return all(
        getattr(one, name) == getattr(other, name)
        for name in SETTINGS
        if name not in TIED_TO_LENGTH
    )


def outcome_line(job: Job, outcome: Outcome, code: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a job that ran."""
    failure = outcome.failure or Failure("ok", "")
    line = job_line(job, failure.status, failure.reason, outcome.wall_s, code)
    if outcome.failure:
        return line
    return {**line, "part": outcome.result["part"], "kernel": outcome.result["kernel"]}
