"""Say how one case stands to another on a measure, in words that fit between their names."""

from collections.abc import Sequence

from report.reading.cases import CaseResult
from report.reading.differences import memory_ratio, score_difference, time_ratio
from report.reading.judged import Judged, judged_of
from report.reading.measures import rest_bytes
from report.statistics.estimates import BAND, Estimate
from report.text import (
    bracketed_text,
    bytes_text,
    factor_digits,
    signed_text,
    speed_text,
    speed_words,
)


def comparison_text(a: CaseResult, b: CaseResult, measure: str) -> str:
    """Say how case a stands to case b on a measure, without naming either.

    The words fit between two names: "is 1.40 (1.35 to 1.46) times slower than".
    """
    if measure == "time":
        ratio = time_ratio(a, b)
        return speed_text(ratio) if ratio else "was not timed beside"
    if measure == "memory":
        mine, other = rest_bytes(a) or 0.0, rest_bytes(b) or 0.0
        return f"needs {bytes_text(mine)} for activations, {size_text(mine, other)} of"
    change = score_difference(a, b)
    if change is None:
        return "has no seed in common with"
    told = difference_text(change, judged_of(a))
    return f"is {told} than" if told else f"shows {no_difference_text(change, judged_of(a))} from"


def standing_text(case: CaseResult, rivals: Sequence[tuple[CaseResult, str]], measure: str) -> str:
    """Say how a case stands to one or more others, each with its name, in one clause.

    Such as "is 5.08 times faster than dense sdpa and 1.58 times slower than local attention".
    """
    first, *rest = [f"{comparison_text(case, one, measure)} {name}" for one, name in rivals]
    if measure == "memory":
        mine = rest_bytes(case) or 0.0
        others = [f"{size_text(mine, rest_bytes(b) or 0.0)} of {name}" for b, name in rivals[1:]]
        return ", ".join([first, *others])
    rest = [told.removeprefix("is ") if first.startswith("is ") else told for told in rest]
    return " and ".join([first, *rest])


def change_words(a: CaseResult, b: CaseResult, measure: str) -> str:
    """Say how much better or worse case a is than b: "1.40 (1.35 to 1.46) times slower".

    "" where no difference is visible, or none was measured.
    """
    if measure == "time":
        ratio = time_ratio(a, b)
        return speed_words(ratio) if ratio else ""
    if measure == "memory":
        factor = memory_ratio(a, b)
        return size_words(factor) if factor else ""
    change = score_difference(a, b)
    return difference_text(change, judged_of(a)) if change else ""


def size_text(mine: float, other: float) -> str:
    """Set bytes beside other bytes: "1.33 times less than the 8 MiB"."""
    words = size_words(mine / other) if mine and other else ""
    return f"{words} than the {bytes_text(other)}" if words else f"against the {bytes_text(other)}"


def size_words(factor: float) -> str:
    """Say how much less or more memory a factor is: "1.33 times less"; "" if it is the same."""
    if 1 / BAND <= factor <= BAND:
        return ""
    word = "less" if factor < 1 else "more"
    return f"{factor_digits(max(factor, 1 / factor))} times {word}"


def difference_text(change: Estimate, judged: Judged) -> str:
    """Tell a difference: "0.053 (0.043 to 0.063) bits per dim worse".

    "" if it is not visible, or too small for the digits that are told.
    """
    if not change.leaves_out_0 or round(change.value, judged.decimals) == 0:
        return ""
    word = "better" if (change.value < 0) != judged.higher_is_better else "worse"
    return f"{bracketed_text(change.size(), judged.decimals)} {judged.difference} {word}"


def no_difference_text(change: Estimate, judged: Judged) -> str:
    """Say that two are not seen to differ, and what is known of it."""
    ends = (change.value, change.low, change.high)
    told = f"{signed_text(change, judged.decimals)} {judged.difference}"
    if change.has_interval and not any(round(end, judged.decimals) for end in ends):
        told = f"less than {10.0**-judged.decimals:g} {judged.difference}"
    what = "no visible difference" if change.has_interval else "a difference of one seed"
    return f"{what} ({told})"
