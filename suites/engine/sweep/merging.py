"""Lines of jobs are merged into records, and a record is taken apart into lines again. No torch."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from suites.base import Case
from suites.engine.failures import Failure
from suites.engine.job import Job, Outcome
from suites.engine.store.plan import Plan
from suites.engine.store.records import FORMAT, Code, JobLine, Record
from suites.engine.sweep.growth import is_further, stopped_by
from suites.engine.sweep.ledger import Ledger
from suites.engine.sweep.prediction import predicted_peak
from suites.settings import METHOD_VERSION, Settings

RATES = ("gflops", "copy_gbs")
ENTRY_KEYS = ("kind", "index", "status", "reason", "started", "wall_s", "kernel", *RATES)


def line_of(job: Job, outcome: Outcome, code: Code, plan: Plan) -> JobLine:
    """Make the line of a job that has ended, well or not.

    Raises ValueError if it ran on another machine or with another version than its plan says: a
    record has one identity.
    """
    status, reason = outcome.failure or Failure("ok", "")
    result, versions = outcome.result, plan.versions_of(job.settings)
    if outcome.failure is None:
        require_equal(result["identity"] | result["versions"], plan.identity | versions)
    part = result.get("part")
    predicted = predicted_peak(job.settings, job.device) if job.kind == "memory" else None
    if part is not None and predicted is not None:
        part = {**part, "predicted_bytes": predicted}
    line = {
        "case": job.case_id,
        "kind": job.kind,
        "index": job.index,
        "seed": job.seed,
        "status": status,
        "reason": reason,
        "started": now(before_s=outcome.wall_s),
        "wall_s": round(outcome.wall_s, 3),
        "code": code,
        "identity": plan.identity,
        "versions": versions,
        "kernel": result.get("kernel", ""),
        **{name: result.get(name) for name in RATES},
        "part": part,
    }
    return cast(JobLine, line)


def require_equal(found: dict[str, Any], planned: dict[str, Any]) -> None:
    """Raise ValueError, naming the first difference, unless a job ran where its plan says."""
    for name in sorted(found.keys() | planned.keys()):
        here, there = found.get(name), planned.get(name)
        if here != there:
            raise ValueError(
                f"a job ran where {name} is {here!r}, but its run is of {there!r}; all that was "
                "measured before is kept; use another --run name, or put back what was changed"
            )


def record_of(
    case: Case, seed: int, jobs: Sequence[Job], ledger: Ledger, code: Code, beside: dict[str, Any]
) -> Record:
    """Make the record of a case and seed out of the lines of its jobs.

    jobs: those of this seed. beside: the record's label, suites, identity and versions. A failure
    does not erase what was measured: the parts that succeeded stand beside the status of the first
    failure, which may be another seed's if nothing more was tried after it.
    """
    found = [ledger.line(job) for job in jobs]
    lines = [line for line in found if line is not None]
    good = {(line["kind"], line["index"]): line for line in lines if line["status"] == "ok"}
    failed = next((line for line in lines if line["status"] != "ok"), None)
    if failed is None and not all(ledger.tries(job) for job in jobs if not is_further(job)):
        failed = ledger.failure(case.id)
    status, reason = (failed["status"], why(failed)) if failed else ("ok", "")
    if case.skip:
        status, reason = "skipped", case.skip
    entries = [entry for job in jobs for entry in entries_of(ledger.tries(job), ledger.line(job))]
    replaced = [line["part"] for line, is_replaced in entries if is_replaced and line["part"]]
    record = {
        "format": FORMAT,
        "method": METHOD_VERSION,
        "case": case.id,
        "seed": seed,
        "settings": case.settings.measured(),
        "kernel": next((line["kernel"] for line in good.values() if line["kernel"]), ""),
        "status": status,
        "reason": reason,
        "time": time_part(
            [ln["part"] for ln in lines if is_good(ln, "time")], replaced, case.settings
        ),
        "memory": good[("memory", 0)]["part"] if ("memory", 0) in good else None,
        "quality": good[("quality", 0)]["part"] if ("quality", 0) in good else None,
        "jobs": [
            {name: line.get(name) for name in ENTRY_KEYS} | ({"replaced": True} if replaced else {})
            for line, replaced in entries
        ],
        "code": code,
        "started": min((line["started"] for line in lines), default=now()),
        "wall_s": round(sum(line["wall_s"] for line, _ in entries), 3),
        **beside,
    }
    return cast(Record, record)


def entries_of(tries: Sequence[JobLine], standing: JobLine | None) -> list[tuple[JobLine, bool]]:
    """Return the tries of a job that a record keeps, each with whether another replaced it.

    They are in the order of their writing. An earlier training of the same case is no further
    measurement: it is not kept.
    """
    kept = [line for line in tries if line is standing or line["kind"] == "time"]
    return [(line, line is not standing) for line in kept]


def is_good(line: JobLine, kind: str) -> bool:
    """Return whether a line is of a job of this kind that ended well."""
    return line["kind"] == kind and line["status"] == "ok"


def time_part(
    processes: list[Any], replaced: list[Any], settings: Settings
) -> dict[str, Any] | None:
    """Make the `time` part of a record, None if no process was timed."""
    if not processes:
        return None
    found = {process["stopped_by"] for process in processes}
    part = {
        "processes": processes,
        "stopped_by": next((word for word in ("long", "budget") if word in found), "interval"),
        # a timing that should have grown and has not was ended by a failure
        "grown_until": stopped_by(processes, settings) or "failure",
        "within": settings.within,
    }
    return {**part, "replaced": replaced} if replaced else part


def lines_of(record: Record) -> list[JobLine]:
    """Make the lines again of which a record was made; none of a record without `jobs`."""
    time: Any = record.get("time") or {}
    parts = {
        ("time", False): iter(time.get("processes", [])),
        ("time", True): iter(time.get("replaced", [])),
        ("memory", False): iter([record.get("memory")]),
        ("quality", False): iter([record.get("quality")]),
    }
    lines = []
    for job in record.get("jobs", []):
        replaced = job.get("replaced", False)
        line = {
            "case": record["case"],
            "seed": record["seed"],
            "code": record["code"],
            "identity": record["identity"],
            "versions": record.get("versions", {}),
            **{name: job.get(name) for name in ENTRY_KEYS},
            "part": next(parts[job["kind"], replaced]) if job["status"] == "ok" else None,
        }
        lines.append(cast(JobLine, line))
    return lines


def why(failed: JobLine) -> str:
    """Say why a job failed, and which job it was."""
    if failed["status"] == "skipped":
        return failed["reason"]
    return f"{failed['reason']} (while measuring {failed['kind']}, seed {failed['seed']})"


def now(before_s: float = 0.0) -> str:
    """Return the moment so many seconds ago in ISO 8601 and UTC, to the millisecond."""
    return (datetime.now(UTC) - timedelta(seconds=before_s)).isoformat(timespec="milliseconds")
