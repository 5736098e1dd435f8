"""What each part of the Reformer changes: LSH, reversible layers, pieces, all else being equal."""

from collections.abc import Iterator
from typing import NamedTuple

from report.reading.cases import CaseResult
from report.reading.series import View

PARTS = ("LSH", "reversible layers", "pieces")
NEEDED = {"attention", "reversible", "ff_chunks"}  # what a suite of parts varies
Combination = tuple[bool, ...]  # which of the PARTS a model has
NONE, ALL = (False,) * len(PARTS), (True,) * len(PARTS)
FIRST, LAST = "added to the dense Transformer", "beside the other two"


class Change(NamedTuple):
    """A change is one part: two models at one size that differ in it alone.

    beside: FIRST or LAST. more, less: the model with the part and the one without. trained: the
    same two by what they compute, which pieces do not change; None where they do not differ.
    """

    size: str
    part: str
    beside: str
    more: CaseResult | None
    less: CaseResult | None
    trained: tuple[CaseResult | None, CaseResult | None] | None


def combination(case: CaseResult) -> Combination | None:
    """Return which PARTS a model has; None for one that is neither LSH nor dense."""
    if case.kind not in ("reformer", "dense") or case.settings.get("subject") == "attention":
        return None
    s = case.settings
    return case.kind == "reformer", bool(s["reversible"]), s["ff_chunks"] > 1


def changes_of(view: View) -> Iterator[Change]:
    """Yield what each part changes at each size of a suite that varies them all; else nothing."""
    if not view.categories or not {*view.named_by} >= NEEDED:
        return
    for series in view.series:
        cases = {found: case for case in series.cases if (found := combination(case))}
        trained = {found[:2]: case for found, case in cases.items() if case.quality()}
        for i, part in enumerate(PARTS):
            for beside, start in ((FIRST, NONE), (LAST, ALL)):
                more, less = ((*start[:i], has, *start[i + 1 :]) for has in (True, False))
                if cases.get(more) is None and cases.get(less) is None:
                    continue
                both = (trained.get(more[:2]), trained.get(less[:2]))
                differs = more[:2] != less[:2]
                yield Change(
                    series.name,
                    part,
                    beside,
                    cases.get(more),
                    cases.get(less),
                    both if differs else None,
                )
