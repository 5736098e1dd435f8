"""Claims are judged by the records of one or several runs, each machine and method by itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from pathlib import Path

from report.claims.claim import FAILS, HOLDS, INCONCLUSIVE, Claim
from report.claims.notes import cases_of, notes_of, too_few_seeds
from report.claims.quantities import Ambiguous, NotMeasured, quantity_of
from report.reading.cases import CaseResult, load_run
from report.reading.gathering import (
    gather,
    groups_alike,
    identity_differences,
    identity_mark,
)
from report.statistics.estimates import Estimate
from suites.engine.store.records import Record

NOT_MEASURED = "not measured"
ANSWERS = {HOLDS: "holds", FAILS: "differs", INCONCLUSIVE: "open"}
EXIT_CODES = {HOLDS: 0, FAILS: 1, INCONCLUSIVE: 2}


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judgement says what the records have to a claim.

    found: the quantity, None where it was not measured; reason: then what is missing. mark: the
    machine and method, where the records are of several. notes: what went wrong in its cases.
    """

    claim: Claim
    found: Estimate | None
    reason: str = ""
    mark: str = ""
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Return "holds", "fails" or "inconclusive"."""
        return self.claim.verdict(self.found)

    @property
    def answer(self) -> str:
        """Say of the paper's claim "holds", "differs" or "open"."""
        return ANSWERS[self.claim.verdict_on_paper(self.found)]

    @property
    def bar(self) -> str:
        """Tell between which bounds the quantity lies if the paper is right: "at most 1,300"."""
        return _bounds_text(self.claim, *self.claim.bounds_of_paper)

    @property
    def value(self) -> str:
        """Tell the quantity with its interval; NOT_MEASURED without one."""
        return quantity_of(self.claim).text(self.found) if self.found else NOT_MEASURED

    @property
    def sentence(self) -> str:
        """Say the claim with the value that was found."""
        return self.claim.says.replace("{value}", self.value)


def judge(
    claims: Iterable[Claim], records: Iterable[Record], strict: bool = True
) -> list[Judgement]:
    """Judge each claim by the records of each machine and method that has its cases.

    A claim that none of them has is inconclusive. strict: raise Ambiguous, a ValueError, on a claim
    that several cases fit; else it is inconclusive too.
    """
    records = list(records)
    differing = list(identity_differences(records))
    groups = list(groups_alike(gather(records, mixed=True), differing))
    return [one for claim in claims for one in _judge_one(claim, groups, differing, strict)]


def _judge_one(
    claim: Claim, groups: Sequence[list[CaseResult]], differing: Sequence[str], strict: bool
) -> list[Judgement]:
    compute, missing = quantity_of(claim).compute, []
    found: dict[tuple[int, ...], Judgement] = {}
    for cases in groups:
        mark = identity_mark([case.records[0] for case in cases], differing)
        try:
            estimate = compute(claim, cases)
        except (NotMeasured, Ambiguous) as error:
            if strict and isinstance(error, Ambiguous):
                raise
            missing.append(Judgement(claim, None, str(error), mark))
            continue
        if estimate is None:
            missing.append(Judgement(claim, None, "its cases have no such measure", mark))
            continue
        used = cases_of(claim, cases)
        mark = identity_mark([case.records[0] for case in used], differing)
        reason = too_few_seeds(claim, estimate, used)
        if reason:
            estimate = replace(estimate, low=nan, high=nan)
        # cases without what differs are in several groups, and are judged once
        notes = tuple(notes_of(claim, used))
        found[tuple(map(id, used))] = Judgement(claim, estimate, reason, mark, notes)
    return [*found.values()] or missing[:1]


def exit_code(judgements: Sequence[Judgement]) -> int:
    """Return 1 if any claim fails, else 2 if any is inconclusive, else 0."""
    verdicts = {one.verdict for one in judgements}
    worst = next((one for one in (FAILS, INCONCLUSIVE) if one in verdicts), HOLDS)
    return EXIT_CODES[worst]


def records_under(folders: Iterable[Path]) -> list[Record]:
    """Read the records of run folders, and of all run folders in a folder of them.

    Raises ValueError where there are none.
    """
    return [r for folder in folders for run in runs_in(folder) for r in load_run(run)]


def runs_in(folder: Path) -> list[Path]:
    """Return the runs in a folder of runs; the folder itself if it is a run, or has none inside."""
    if (folder / "records.jsonl").exists():
        return [folder]
    return sorted(path.parent for path in folder.glob("*/records.jsonl")) or [folder]


def lines_of(judgements: Iterable[Judgement]) -> list[str]:
    """Say each judgement in a line, with its bounds where the claim does not hold.

    Those of one machine stand together below its name; what no machine has measured comes last.
    """
    groups: dict[str, list[str]] = {}
    for one in judgements:
        place = one.mark if one.found else NOT_MEASURED
        groups.setdefault(place, []).append(_line_of(one))
    lost = groups.pop(NOT_MEASURED, [])
    if not groups.keys() - {""}:
        return [*groups.get("", []), *lost]
    told = [f"Measured on {mark}:\n" + "\n".join(lines) for mark, lines in groups.items()]
    told += ["Measured nowhere:\n" + "\n".join(lost)] * bool(lost)
    return "\n\n".join(told).split("\n")


def _line_of(one: Judgement) -> str:
    verdict, ours, papers = one.verdict, one.claim.bounds, one.claim.bounds_of_paper
    why = one.reason or ("" if verdict == HOLDS else f"claimed: {_bounds_text(one.claim, *ours)}")
    if one.found and papers != ours:
        verdict = f"{'as claimed' if verdict == HOLDS else verdict}; the paper: {one.answer}"
        why = "; ".join(filter(None, (why, f"the paper's bar: {one.bar}")))
    about = f"{one.claim.question} " if one.claim.asks else f"{one.claim.name}: "
    notes = f"; but {', '.join(one.notes)}" if one.notes else ""
    return f"{verdict}: {about}{one.sentence}" + (f" ({why})" if why else "") + notes


def _bounds_text(claim: Claim, low: float, high: float) -> str:
    """Tell two bounds of the quantity of a claim, of which either may be infinite."""
    unit = quantity_of(claim)
    both = (("at least", low), ("at most", high))
    told = [f"{word} {unit.text(Estimate(end))}" for word, end in both if isfinite(end)]
    return " and ".join(told).replace(" (no interval)", "")
