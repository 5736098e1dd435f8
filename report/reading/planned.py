"""What a run was to measure and has not yet measured is told: a plan knows, records do not."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from report.reading.cases import CaseResult
from suites.engine.store.plan import Entry, Plan
from suites.engine.store.records import Record, part_of

# The status of a planned case without any record; no record on disk has it.
MISSING = "missing"
REASON = "planned, not measured yet"


def missing_records(plan: Plan | None, records: Sequence[Record]) -> list[Record]:
    """Make a record for each planned case that has none, so that reports name and draw it.

    It looks as if measured where the first of `records` was: there is nothing to compare.
    """
    if plan is None or not records:
        return []
    known, names, like = {record["case"] for record in records}, plan.labels(), records[0]
    return [
        cast(
            Record,
            {
                **{name: like[name] for name in ("format", "method", "identity", "code")},
                "case": case_id,
                "label": names[case_id],
                "suites": list(entry.suites),
                "seed": plan.seeds[0],
                "settings": entry.case.settings.measured(),
                "kernel": "",
                "status": MISSING,
                "reason": REASON,
                "started": "",
                "wall_s": 0.0,
            },
        )
        for case_id, entry in plan.entries.items()
        if case_id not in known
    ]


def is_missing(case: CaseResult) -> bool:
    """Return whether a case was planned and has no record."""
    return case.failure[0] == MISSING


def unfinished_text(plan: Plan | None, records: Sequence[Record], named: bool = True) -> str:
    """Say of a run that is not finished which planned cases are missing; "" if none is.

    named: name them; else say only how many there are.
    """
    if plan is None:
        return ""
    by_case: dict[str, list[Record]] = {}
    for record in records:
        by_case.setdefault(record["case"], []).append(record)
    names = plan.labels()
    missing = [names[case_id] for case_id in plan.entries if case_id not in by_case]
    partly = [
        f"{names[case_id]} ({lacks})"
        for case_id, entry in plan.entries.items()
        if (found := by_case.get(case_id)) and (lacks := _lacks(entry, found, plan.seeds))
    ]
    told = [
        f"{len(cases)} are {how}" + f": {'; '.join(cases)}" * named
        for cases, how in ((missing, "not measured"), (partly, "measured in part"))
        if cases
    ]
    if not told:
        return ""
    joined = (". " if named else ", ").join(told)
    return f"NOT FINISHED: of {len(plan.entries)} planned cases {joined}."


def _lacks(entry: Entry, records: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> str:
    """Say which measures and seeds a case lacks; "" for one that is complete, failed or skipped."""
    if any(record["status"] != "ok" for record in records):
        return ""
    wanted = entry.case.settings.measures
    lacks = [
        f"no {name}"
        for name in ("time", "memory")
        if name in wanted and not any(part_of(cast(Record, record), name) for record in records)
    ]
    if "quality" in wanted:
        trained = {r["seed"] for r in records if part_of(cast(Record, r), "quality")}
        lost = [str(seed) for seed in seeds if seed not in trained]
        lacks += [f"no seed {', '.join(lost)}"] if lost else []
    return ", ".join(lacks)
