"""Two cases are compared in time, memory and quality."""

from report.reading.cases import CaseResult
from report.reading.judged import ACCURACY, judged_of, scores_of
from report.reading.measures import rest_bytes
from report.statistics.estimates import BAND, Estimate, Ratio
from report.statistics.intervals import ratio_of_medians
from report.statistics.seeds import paired_difference


def time_ratio(
    a: CaseResult, b: CaseResult, part: str = "step", band: float = BAND
) -> Ratio | None:
    """Return the time of a part of a over that of b; None where either was not timed."""
    one, other = a.processes(part), b.processes(part)
    if not one or not other:
        return None
    return ratio_of_medians(one, other, a.noise.get(part), b.noise.get(part), band)


def time_verdict(a: CaseResult, b: CaseResult, ratio: Ratio) -> str:
    """Return the verdict on a ratio of times; "disturbed" if either had foreign load beside it."""
    return "disturbed" if a.disturbed or b.disturbed else ratio.verdict


def memory_ratio(a: CaseResult, b: CaseResult) -> float | None:
    """Return the activations of a over those of b; None if one was not measured or b has 0.

    Memory is measured once, so there is no interval.
    """
    one, other = rest_bytes(a), rest_bytes(b)
    return one / other if one is not None and other else None


def bits_difference(a: CaseResult, b: CaseResult) -> Estimate | None:
    """Return the bits per dim of a less those of b, paired over seeds.

    It is None without a seed in common.
    """
    one, other = a.quality(), b.quality()
    return paired_difference(one, other) if set(one) & set(other) else None


def score_difference(a: CaseResult, b: CaseResult) -> Estimate | None:
    """Return what a is judged by (scores_of) less that of b, paired over seeds.

    It is None without a seed in common, and where they are judged by different numbers.
    """
    one, other = scores_of(a), scores_of(b)
    alike = judged_of(a) == judged_of(b) and set(one) & set(other)
    if not alike:
        return None
    change = paired_difference(one, other)
    return change.within(-100.0, 100.0) if judged_of(a) is ACCURACY else change
