"""A ledger tells what is known of each job of a run, and which must still run. No torch."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from suites.engine.job import Job, Key
from suites.engine.store.records import JobLine
from suites.engine.sweep.growth import is_further, stopped_by
from suites.evaluations import analyses_of, evaluations
from suites.settings import Settings

# These repeat at the same cost whatever is tried next on the same case.
HOPELESS = ("oom", "timeout", "skipped")
DISTURBED = "disturbed"


class Ledger:
    """A ledger holds the lines of all finished jobs, by case and job, as they were written.

    retry: statuses whose lines count as never written; DISTURBED is that of timings under foreign
    load, which else run a second time and then stand.
    """

    def __init__(self, lines: Iterable[JobLine] = (), retry: Iterable[str] = ()) -> None:
        self.retry = set(retry)
        self.by_case: dict[str, dict[Key, list[JobLine]]] = {}
        for line in lines:
            if not self.is_retried(line):
                self.add(line)

    def is_retried(self, line: JobLine) -> bool:
        """Return whether a line counts as never written."""
        return line["status"] in self.retry or (DISTURBED in self.retry and is_disturbed(line))

    def add(self, line: JobLine) -> None:
        """Add the line of a job that has ended."""
        self.by_case.setdefault(line["case"], {}).setdefault(key_of(line), []).append(line)

    def line(self, job: Job) -> JobLine | None:
        """Return the line that stands for a job: the last good one, or else the last."""
        tries = self.tries(job)
        return standing(tries) if tries else None

    def tries(self, job: Job) -> list[JobLine]:
        """Return all lines of a job, in the order of their writing."""
        return self.by_case.get(job.case_id, {}).get(job.key, [])

    def standing_lines(self, case_id: str) -> list[JobLine]:
        """Return the lines that stand for the jobs of a case."""
        return [standing(tries) for tries in self.by_case.get(case_id, {}).values()]

    def failure(self, case_id: str) -> JobLine | None:
        """Return the line of the first failed job of a case; None if none failed."""
        return next((ln for ln in self.standing_lines(case_id) if ln["status"] != "ok"), None)

    def has_status(self, case_id: str, status: str) -> bool:
        """Return whether any job of a case ended with this status."""
        return any(line["status"] == status for line in self.standing_lines(case_id))

    def is_open(self, job: Job) -> bool:
        """Return whether this job must still run.

        A disturbed timing runs once more. After oom or timeout nothing more of the case is tried;
        after another failure no more passes of timing. A timing beyond the least number runs if all
        before it are done and it is due (growth.py).
        """
        for line in self.standing_lines(job.case_id):
            if line["status"] in HOPELESS:
                return False
            if line["status"] != "ok" and line["kind"] == job.kind == "time":
                return False
        tries = self.tries(job)
        if not tries:
            return not is_further(job) or self._is_due(job)
        own = standing(tries)
        if own["status"] != "ok":
            return False
        return needs_second_try(tries) or not covers(own, job.settings)

    def _is_due(self, job: Job) -> bool:
        """Return whether a timing beyond the least number is the next one, and still needed."""
        before = [self.tries(replace(job, index=index)) for index in range(job.index)]
        if not all(before) or any(map(needs_second_try, before)):
            return False
        processes = [part for tries in before if (part := standing(tries)["part"]) is not None]
        return not stopped_by(processes, job.settings)


def key_of(line: JobLine) -> Key:
    """Return the key of the job that wrote a line (Job.key)."""
    return line["case"], line["kind"], line["index"], line["seed"]


def standing(tries: list[JobLine]) -> JobLine:
    """Return the line that counts among those of one job: the last good one, or else the last."""
    return next((line for line in reversed(tries) if line["status"] == "ok"), tries[-1])


def needs_second_try(tries: list[JobLine]) -> bool:
    """Return whether these are of a timing that was disturbed and not measured again yet."""
    return len(tries) == 1 and is_disturbed(tries[0])


def is_disturbed(line: JobLine) -> bool:
    """Return whether this was a timing under foreign load."""
    return bool(line["part"] and line["part"].get("disturbed"))


def covers(line: JobLine, settings: Settings) -> bool:
    """Return whether a good line holds all that is asked now of a training."""
    if line["kind"] != "quality" or line["part"] is None:
        return True
    evaluated: Mapping[str, object] = line["part"]["evaluated_with"]
    if not set(evaluations(settings)) <= set(evaluated):
        return False
    if not set(analyses_of(settings)) <= set(line["part"].get("analyses", {})):
        return False
    steps = {step for step, _ in line["part"]["curve"]}
    every = settings.evaluate_every
    return not every or set(range(every, settings.train_steps + 1, every)) <= steps
