"""What is said of a sweep when it ends: counts, failures, predictions that were wrong. No torch."""

from suites.engine.store.runs import shorten
from suites.engine.sweep.ledger import describe
from suites.engine.sweep.progress import misprediction
from suites.engine.sweep.scheduler import Sweep


def summary(sweep: Sweep) -> str:
    """Counts by status: "12 ok, 1 oom"."""
    counts: dict[str, int] = {}
    for key, record in sweep.records.items():
        if key[0] in sweep.cases:
            counts[record["status"]] = counts.get(record["status"], 0) + 1
    return ", ".join(f"{n} {status}" for status, n in counts.items()) or "nothing measured"


def print_failures(sweep: Sweep) -> None:
    """Every record that is not ok, with its reason and its log; and of cases that are not finished
    every job that failed.
    """
    failed = [(case, seed, record) for (case, seed), record in sweep.records.items()]
    failed += [
        (line["case"], line["seed"], {**line, "reason": describe(line)})
        for lines in sweep.ledger.by_case.values()
        for line in lines.values()
        if (line["case"], line["seed"]) not in sweep.records
    ]
    for case_id, seed, found in failed:
        if found["status"] != "ok" and case_id in sweep.cases:
            log = sweep.folder.log_path(case_id)
            where = f" (log: {shorten(log)})" if log.exists() else ""
            label = sweep.cases[case_id].label
            print(f"  {found['status']}: {label}, seed {seed}: {found['reason']}{where}")


def print_mispredictions(sweep: Sweep) -> None:
    """Every case whose predicted peak of memory is far from the measured one."""
    for (case_id, _), record in sweep.records.items():
        told = misprediction(record.get("memory"))
        if told and case_id in sweep.cases:
            print(f"  {record['label']}: {told}")
