"""What is said of a sweep when it ends: counts, failures, predictions that were wrong. No torch."""

from pathlib import Path

from suites.engine.progress import misprediction
from suites.engine.runs import ROOT
from suites.engine.scheduler import Sweep


def summary(sweep: Sweep) -> str:
    """Counts by status: "12 ok, 1 oom"."""
    counts: dict[str, int] = {}
    for key, record in sweep.records.items():
        if key[0] in sweep.cases:
            counts[record["status"]] = counts.get(record["status"], 0) + 1
    return ", ".join(f"{n} {status}" for status, n in counts.items()) or "nothing measured"


def print_failures(sweep: Sweep) -> None:
    """Every record that is not ok, with its reason and its log."""
    for (case_id, seed), record in sweep.records.items():
        if record["status"] != "ok" and case_id in sweep.cases:
            log = sweep.folder.log_path(case_id)
            where = f" (log: {shorten(log)})" if log.exists() else ""
            print(
                f"  {record['status']}: {record['label']}, seed {seed}: {record['reason']}{where}"
            )


def print_mispredictions(sweep: Sweep) -> None:
    """Every case whose predicted peak of memory is far from the measured one."""
    for (case_id, _), record in sweep.records.items():
        told = misprediction(record.get("memory"))
        if told and case_id in sweep.cases:
            print(f"  {record['label']}: {told}")


def shorten(path: Path) -> str:
    """Relative to the repository where that is shorter."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
