"""A quantity is computed from the records of the cases that a claim picks, with its interval."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from reformer.checks import refuse_unknown
from report.claims.claim import Claim
from report.reading.analyses import PAST_ONLY, analysis_of, bits_change, mass_met
from report.reading.cases import CaseResult, in_suite, tokens_at_once
from report.reading.differences import (
    bits_difference,
    memory_ratio,
    score_difference,
    time_ratio,
)
from report.reading.floor import floors_of_case
from report.reading.judged import ACCURACY, judged_of
from report.reading.measures import rest_bytes
from report.reading.rivals import crossover_of, scaling_of
from report.reading.series import Series
from report.reading.view import view_of
from report.statistics.estimates import Estimate
from report.statistics.seeds import mean_share
from report.text import bytes_text, factor_digits, ms_text

Cases = Sequence[CaseResult]


@dataclass(frozen=True, slots=True)
class CrossoverEstimate(Estimate):
    """This length of a crossover is told in words: it may lie beyond all lengths measured."""

    words: str = ""


NOTHING: Mapping[str, Any] = {}


class NotMeasured(Exception):
    """A quantity cannot be told, because a case it needs was not measured."""


class Ambiguous(ValueError):
    """Several cases, or lines, of a run fit a claim that is of one."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity computes an estimate from the cases of one machine, and knows its unit.

    measure: the part of records that it is of. where: the entry of a claim's `where` that it reads,
    "" for none. compares: is it of two cases? of_lines: is it of lines of cases, not of cases?
    """

    compute: Callable[[Claim, Cases], Estimate | None]
    text: Callable[[Estimate], str]
    measure: str
    where: str = ""
    compares: bool = False
    of_lines: bool = False


def pick(
    cases: Cases, wanted: Mapping[str, Any], claim: Claim, inherited: Mapping[str, Any] = NOTHING
) -> CaseResult:
    """Return the one case with the settings that a claim names.

    inherited: settings that count where a case has them. Raises NotMeasured if there is none, and
    Ambiguous if there are several: the claim then has to say which.
    """
    found = [
        case
        for case in in_suite(cases, claim.suite)
        if _has(case, wanted)
        and _has(case, {k: v for k, v in inherited.items() if k in case.settings})
    ]
    told = ", ".join(f"{name} {value}" for name, value in wanted.items())
    if not found:
        raise NotMeasured(f"no case of {claim.suite} with {told}")
    if len(found) > 1:
        raise Ambiguous(
            f"claim {claim.name!r}: {len(found)} cases of {claim.suite} have {told}; say which, as "
            f"{found[0].label!r} or {found[1].label!r}"
        )
    return found[0]


def _has(case: CaseResult, wanted: Mapping[str, Any]) -> bool:
    told = {name: tuple(v) if isinstance(v, list) else v for name, v in wanted.items()}
    return all(_setting(case, name) == value for name, value in told.items())


def _setting(case: CaseResult, name: str) -> Any:
    """Return a setting of a case, or "tokens", those of all its sequences at once."""
    if name == "tokens":
        return tokens_at_once(case.settings)
    return case.settings.get(name)


def line(cases: Cases, wanted: Mapping[str, Any], claim: Claim) -> Series:
    """Return the line of a suite whose cases all have the settings that a claim names."""
    lines = view_of(claim.suite, cases).series
    found = [one for one in lines if all(_has(case, wanted) for case in one.cases)]
    told = ", ".join(f"{name} {value}" for name, value in wanted.items())
    if not found:
        raise NotMeasured(f"no line of {claim.suite} with {told}")
    if len(found) > 1:
        names = " or ".join(repr(one.name) for one in found[:2])
        raise Ambiguous(
            f"claim {claim.name!r}: {len(found)} lines of {claim.suite} have {told}; "
            f"say which, as {names}"
        )
    return found[0]


def pick_both(claim: Claim, cases: Cases, compares: bool = True) -> list[CaseResult]:
    """Return the case a claim is of, and the one it is compared with, if it is."""
    inherited = {name: v for name, v in claim.of.items() if name not in claim.against}
    other = [pick(cases, claim.against, claim, inherited)] if compares else []
    return [pick(cases, claim.of, claim), *other]


def _exact(value: float | None) -> Estimate | None:
    """Take memory, which is measured once, as it is: by how much it varies is not known.

    The same step measured twice differed by up to 7 % of few MiB, so no bar is nearer than that.
    """
    return None if value is None else Estimate(value, value, value)


def _time(claim: Claim, cases: Cases) -> Estimate | None:
    return pick(cases, claim.of, claim).time(claim.where.get("part", "step"))


def _times_faster(claim: Claim, cases: Cases) -> Estimate | None:
    mine, other = pick_both(claim, cases)
    return time_ratio(other, mine, claim.where.get("part", "step"))


def _times_longer(claim: Claim, cases: Cases) -> Estimate | None:
    mine, other = pick_both(claim, cases)
    return time_ratio(mine, other, claim.where.get("part", "step"))


def _floor_share(claim: Claim, cases: Cases) -> Estimate | None:
    """Take the median of the processes, and the lowest and highest of them for its interval."""
    shares = [100 * floor.share for floor in floors_of_case(pick(cases, claim.of, claim))]
    return Estimate(median(shares), min(shares), max(shares)) if shares else None


def _memory(claim: Claim, cases: Cases) -> Estimate | None:
    case, name = pick(cases, claim.of, claim), claim.where.get("bytes")
    return _exact(case.memory(name) if name else rest_bytes(case))


def _times_less_memory(claim: Claim, cases: Cases) -> Estimate | None:
    mine, other = pick_both(claim, cases)
    return _exact(memory_ratio(other, mine))


def _bits(claim: Claim, cases: Cases) -> Estimate | None:
    return pick(cases, claim.of, claim).bits()


def _bits_better(claim: Claim, cases: Cases) -> Estimate | None:
    mine, other = pick_both(claim, cases)
    return bits_difference(other, mine)


def _bits_of_later_tokens(claim: Claim, cases: Cases) -> Estimate | None:
    """Return what is lost in bits per dim if each position is predicted from its past alone."""
    return bits_change(analysis_of(pick(cases, claim.of, claim), PAST_ONLY), lambda one: one)


def _mass_met(claim: Claim, cases: Cases) -> Estimate | None:
    return mass_met(pick(cases, claim.of, claim))


def _accuracy(claim: Claim, cases: Cases) -> Estimate | None:
    found = pick(cases, claim.of, claim).quality("accuracy", claim.where.get("evaluated_with", ""))
    return mean_share([100 * share for share in found.values()]) if found else None


def _points_better(claim: Claim, cases: Cases) -> Estimate | None:
    """Return by how many points of accuracy a case is ahead of another, paired over seeds."""
    mine, other = pick_both(claim, cases)
    return score_difference(mine, other) if judged_of(mine) == ACCURACY else None


def _crossover(claim: Claim, cases: Cases) -> Estimate | None:
    ours = line(cases, claim.of, claim)
    found = crossover_of(ours, line(cases, claim.against, claim), claim.where.get("part", "step"))
    if found is None:
        return None
    return CrossoverEstimate(**asdict(found.estimate), words=found.text())


def _exponent(claim: Claim, cases: Cases) -> Estimate | None:
    found = scaling_of(line(cases, claim.of, claim), claim.where.get("of", "time"))
    return found.exponent if found else None


def _number(decimals: int, unit: str = "") -> Callable[[Estimate], str]:
    def text(found: Estimate) -> str:
        return _ends(found, lambda value: f"{value:,.{decimals}f}") + unit

    return text


def _ends(found: Estimate, told: Callable[[float], str]) -> str:
    """Tell a value and the ends of its interval, once where they are told alike."""
    value, low, high = told(found.value), told(found.low), told(found.high)
    return value if not found.has_interval or value == low == high else f"{value} ({low} to {high})"


def _factor(found: Estimate) -> str:
    return _ends(found, factor_digits)


def _tokens(found: Estimate) -> str:
    return found.words if isinstance(found, CrossoverEstimate) else f"{found.value:,.0f}"


QUANTITIES = {
    "time": Quantity(_time, ms_text, "time", "part"),
    "times faster": Quantity(_times_faster, _factor, "time", "part", compares=True),
    "times longer": Quantity(_times_longer, _factor, "time", "part", compares=True),
    "share of the floor": Quantity(_floor_share, _number(0, " %"), "time"),
    "memory": Quantity(_memory, lambda found: bytes_text(found.value), "memory", "bytes"),
    "times less memory": Quantity(_times_less_memory, _factor, "memory", compares=True),
    "bits per dim": Quantity(_bits, _number(3), "quality"),
    "bits per dim better": Quantity(_bits_better, _number(3), "quality", compares=True),
    "bits per dim of later tokens": Quantity(_bits_of_later_tokens, _number(4), "quality"),
    "attention met": Quantity(_mass_met, _number(0, " %"), "quality"),
    "accuracy": Quantity(_accuracy, _number(1, " %"), "quality", "evaluated_with"),
    "points of accuracy better": Quantity(
        _points_better, _number(1, " points"), "quality", compares=True
    ),
    "crossover": Quantity(_crossover, _tokens, "time", "part", compares=True, of_lines=True),
    "exponent": Quantity(_exponent, _number(2), "time", "of", of_lines=True),
}


def quantity_of(claim: Claim) -> Quantity:
    """Return the quantity that a claim names.

    Raises ValueError if there is none of that name, or it does not know an entry of `where`.
    """
    refuse_unknown(claim.quantity, QUANTITIES, f"quantity in claim {claim.name!r}")
    found = QUANTITIES[claim.quantity]
    for name in claim.where:
        refuse_unknown(name, filter(None, [found.where]), f"entry of where in claim {claim.name!r}")
    return found
