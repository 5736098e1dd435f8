"""What analyses of trained models say is read from records (suites.engine.store.analyses)."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from report.reading.cases import CaseResult
from report.reading.series import View
from report.statistics.estimates import Estimate, student_t
from report.statistics.seeds import mean_share
from suites.engine.store.records import part_of

PAST_ONLY = "past only"


def analysis_of(case: CaseResult, name: str) -> list[Mapping[str, Any]]:
    """Return what an analysis says of each seed of a case, those that have it."""
    found = [(part_of(record, "quality").get("analyses") or {}) for record in case.records]
    return [one[name] for one in found if name in one]


def analysed(view: View, name: str) -> list[CaseResult]:
    """Return the cases of a suite that have an analysis, if the suite is to show it.

    It is if the suite asks for it, or if all of its several trained Reformers have it: else it was
    another suite that asked, for a case that the two share.
    """
    found = [case for case in view.cases if analysis_of(case, name)]
    trained = [case for case in view.cases if case.kind == "reformer" and case.quality()]
    have_all = len(trained) > 1 and all(case in found for case in trained)
    is_shown = name in view.analyses or have_all
    return found if is_shown else []


def share_over_seeds(
    case: CaseResult, name: str, share: Callable[[Mapping[str, Any]], float]
) -> Estimate | None:
    """Return the mean over seeds of a share of an analysis, in %; None if there is none."""
    found = [100 * share(one) for one in analysis_of(case, name)]
    return mean_share(found) if found else None


def bits_change(
    found: list[Mapping[str, Any]], part: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Estimate | None:
    """Return the change in bits per dim, its interval from window to window.

    Seeds are evaluated on the same windows, so that their errors do not average out.
    """
    if not found:
        return None
    n = len(found)
    value = sum(part(one)["bits_change"] for one in found) / n
    error = sum(part(one)["bits_error"] for one in found) / n
    n_windows = min(one["n_windows"] for one in found)
    if n_windows < 2:
        return Estimate(value, n=n)
    half = student_t(n_windows - 1) * error
    return Estimate(value, value - half, value + half, n_windows, error, n_windows - 1)


def by_rounds(case: CaseResult, what: str) -> list[Estimate]:
    """Return "mass" or "pairs" within 1, 2, ... rounds, in %, means over layers and seeds."""
    found = analysis_of(case, "attention mass")
    n_rounds = min((len(layer) for one in found for layer in one[what]), default=0)
    return [
        mean_share([100 * fmean(layer[r] for layer in one[what]) for one in found])
        for r in range(n_rounds)
    ]


def mass_met(case: CaseResult) -> Estimate | None:
    """Return the share in % of the true attention that pairs hold which met in any round."""
    found = by_rounds(case, "mass")
    return found[-1] if found else None


def most_rounds(cases: Sequence[CaseResult]) -> CaseResult:
    """Return the case with the most hash rounds, the first of equals."""
    return max(cases, key=lambda case: int(case.settings.get("n_rounds") or 0))
