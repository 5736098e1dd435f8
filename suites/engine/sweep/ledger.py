"""The jobs that a case consists of, and the record that their results make. No torch.

A job is what one process does: one pass of timing, the memory pass, or training with one seed. Its
result is a line in jobs.jsonl; when all jobs of a case and seed are there, they become one record
(suites.engine.store.records).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from suites.base import Case
from suites.engine.job import Job, Key
from suites.engine.store.records import FORMAT, Record
from suites.engine.store.runs import Plan
from suites.settings import METHOD_VERSION

Line = Mapping[str, Any]
# These repeat at the same cost whatever is tried next on the same case.
HOPELESS = ("oom", "timeout", "skipped")


def jobs_of(case_id: str, case: Case, plan: Plan, data_path: str | None) -> list[Job]:
    """All jobs of a case: time and memory for the first seed only, quality for each; none if it is
    skipped.
    """
    if case.skip:
        return []
    s, first = case.settings, plan.seeds[0]
    wanted = [("time", index, first) for index in range(s.processes) if "time" in s.measures]
    wanted += [("memory", 0, first)] if "memory" in s.measures else []
    # one attention call has nothing to train
    if "quality" in s.measures and s.subject == "model":
        wanted += [("quality", 0, seed) for seed in plan.seeds]
    return [
        Job(
            case=case_id,
            kind=kind,
            index=index,
            seed=seed,
            settings=s,
            device=plan.device,
            data_path=data_path,
        )
        for kind, index, seed in wanted
    ]


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Round-robin: the first pass of every case, then the second, ..., then memory, then quality
    seed by seed.
    """
    kinds = {"time": 0, "memory": 1, "quality": 2}
    return sorted(jobs, key=lambda job: (kinds[job.kind], job.index, job.seed))


class Ledger:
    """What is known of each job of a run: the lines of jobs.jsonl, the newest of each key.

    retry: statuses whose lines count as never written.
    """

    def __init__(self, lines: Iterable[Line], retry: Iterable[str] = ()) -> None:
        self.retry = set(retry)
        self.by_case: dict[str, dict[Key, Line]] = {}
        self.replaced: dict[Key, Line] = {}
        self.tried_again: set[Key] = set()
        for line in lines:
            if line["status"] not in self.retry:
                self.add(line)

    def add(self, line: Line) -> None:
        """Take in a line; a disturbed timing that was measured again is kept apart, or stays if the
        second try failed.
        """
        key = line["case"], line["kind"], line["index"], line["seed"]
        lines = self.by_case.setdefault(line["case"], {})
        if key in lines and is_disturbed(lines[key]):
            self.tried_again.add(key)
            if line["status"] != "ok":
                return
            self.replaced[key] = lines[key]
        lines[key] = line

    def line(self, job: Job) -> Line | None:
        """The newest line of a job."""
        return self.by_case.get(job.case, {}).get(job.key)

    def failure(self, case: str) -> Line | None:
        """The first failed job of a case."""
        return next(
            (ln for ln in self.by_case.get(case, {}).values() if ln["status"] != "ok"), None
        )

    def has_status(self, case: str, status: str) -> bool:
        """Did any job of a case end so?"""
        return any(line["status"] == status for line in self.by_case.get(case, {}).values())

    def is_open(self, job: Job) -> bool:
        """Must this job still run? A disturbed timing runs once more.

        After oom or timeout nothing more of the case is tried; after another failure no more passes
        of timing.
        """
        for line in self.by_case.get(job.case, {}).values():
            if line["status"] in HOPELESS:
                return False
            if line["status"] != "ok" and line["kind"] == job.kind == "time":
                return False
        own = self.line(job)
        return own is None or (is_disturbed(own) and job.key not in self.tried_again)


def is_disturbed(line: Line) -> bool:
    """Was this a timing under foreign load?"""
    return bool(line["part"] and line["part"].get("disturbed"))


def job_line(
    job: Job, status: str, reason: str, wall_s: float, code: Mapping[str, Any]
) -> dict[str, Any]:
    """What a line of jobs.jsonl says of any job that ends now, done or failed. code: what ran."""
    return {
        "case": job.case,
        "kind": job.kind,
        "index": job.index,
        "seed": job.seed,
        "status": status,
        "reason": reason,
        "started": now(before_s=wall_s),
        "wall_s": round(wall_s, 3),
        "code": code,
        "kernel": "",
        "part": None,
    }


def merge(case_id: str, case: Case, seed: int, jobs: Sequence[Job], ledger: Ledger) -> Record:
    """The record of a case and seed, without the fields that the run adds (suites, identity, code).

    jobs: those of this seed. A failure does not erase what was measured: the parts that succeeded
    stand beside the status of the first failure, which may be another seed's if nothing more was
    tried after it.
    """
    found = [ledger.line(job) for job in jobs]
    lines: list[Line] = [line for line in found if line is not None]
    good = {(line["kind"], line["index"]): line for line in lines if line["status"] == "ok"}
    failed = next((line for line in lines if line["status"] != "ok"), None)
    if failed is None and len(lines) < len(jobs):
        failed = ledger.failure(case_id)
    processes = [line["part"] for (kind, _), line in sorted(good.items()) if kind == "time"]
    time = None
    if processes:
        spent = any(process["stopped_by"] == "budget" for process in processes)
        time = {"processes": processes, "stopped_by": "budget" if spent else "interval"}
        again = [ledger.replaced[job.key]["part"] for job in jobs if job.key in ledger.replaced]
        if again:
            time["replaced"] = again
    status, reason = (failed["status"], describe(failed)) if failed else ("ok", "")
    if case.skip:
        status, reason = "skipped", case.skip
    return {
        "format": FORMAT,
        "method": METHOD_VERSION,
        "case": case_id,
        "label": case.label,
        "seed": seed,
        "settings": case.settings.measured(),
        "kernel": next((line["kernel"] for line in good.values() if line["kernel"]), ""),
        "status": status,
        "reason": reason,
        "time": time,
        "memory": good[("memory", 0)]["part"] if ("memory", 0) in good else None,
        "quality": good[("quality", 0)]["part"] if ("quality", 0) in good else None,
        "started": min((line["started"] for line in lines), default=now()),
        "wall_s": round(sum(line["wall_s"] for line in lines), 3),
    }


def now(before_s: float = 0.0) -> str:
    """So many seconds ago in ISO 8601 and UTC, to the second."""
    return (datetime.now(UTC) - timedelta(seconds=before_s)).isoformat(timespec="seconds")


def describe(failed: Line) -> str:
    """The reason of a failed job, and which job it was."""
    if failed["status"] == "skipped":
        return str(failed["reason"])
    return f"{failed['reason']} (while measuring {failed['kind']}, seed {failed['seed']})"
