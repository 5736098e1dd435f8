"""A claim is told with what went wrong when its cases were measured."""

from collections import Counter
from collections.abc import Sequence

from report.claims.claim import Claim
from report.claims.quantities import Cases, line, pick_both, quantity_of
from report.reading.cases import CaseResult, failed_parts
from report.reading.rivals import FAILURES
from report.statistics.estimates import Estimate
from report.statistics.seeds import MIN_SEEDS
from report.text import STATUS_TEXT, plural
from suites.engine.store.records import Record, part_of

NOUNS = {"time": "timing", "memory": "measurement of memory", "quality": "training"}


def cases_of(claim: Claim, cases: Cases) -> list[CaseResult]:
    """Return the cases that a claim rests on, of both sides where it compares two."""
    unit = quantity_of(claim)
    if not unit.of_lines:
        return pick_both(claim, cases, unit.compares)
    sides = [claim.of, claim.against] if unit.compares else [claim.of]
    return [case for wanted in sides for case in line(cases, wanted, claim).cases]


def too_few_seeds(claim: Claim, found: Estimate, used: Sequence[CaseResult]) -> str:
    """Say that a claim about quality rests on too few seeds; "" if it does not."""
    if measure_of(claim) != "quality":
        return ""
    n = min(found.n, *(len(case.quality()) for case in used))
    enough = f"a claim about quality needs {MIN_SEEDS}"
    return f"rests on {plural(n, 'seed')}, {enough}" if n < MIN_SEEDS else ""


def measure_of(claim: Claim) -> str:
    """Return which part of records a claim is of: "time", "memory" or "quality"."""
    return str(claim.where.get("of") or quantity_of(claim).measure)


def notes_of(claim: Claim, used: Sequence[CaseResult]) -> list[str]:
    """List which measurements of the cases failed or were disturbed, and codes that differ."""
    measure = measure_of(claim)
    tried = [record for case in used for record in _tried(case, measure)]
    failed = Counter(STATUS_TEXT[r["status"]] for r in tried if _has_failed(r, measure))
    total = plural(len(tried), NOUNS[measure])
    found = [f"{n} of {total} {words}" for words, n in failed.items()]
    times = [part_of(r, "time").get("processes") or [] for r in tried if measure == "time"]
    processes = [process for one in times for process in one]
    n_disturbed = sum(bool(process.get("disturbed")) for process in processes)
    if n_disturbed:
        found.append(f"{n_disturbed} of {plural(len(processes), 'timed process')} disturbed")
    coded = [r["code"].get("hash") for r in tried if r.get("code") and part_of(r, measure)]
    codes = dict.fromkeys(map(str, coded))
    if len(codes) > 1:
        found.append(f"measured with different code, {' and '.join(codes)}")
    return found


def _tried(case: CaseResult, measure: str) -> list[Record]:
    """Return the records that have a measure, or in which it failed."""
    first = case.records[0]["seed"]
    # time and memory are of the first seed alone
    told = [r for r in case.records if measure == "quality" or r["seed"] == first]
    return [r for r in told if part_of(r, measure) or _has_failed(r, measure)]


def _has_failed(record: Record, measure: str) -> bool:
    """Return whether this measure failed; where jobs do not tell which one did, it may have."""
    kinds = failed_parts(record)
    return record["status"] in FAILURES and (not kinds or measure in kinds)
