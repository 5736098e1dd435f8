"""Two cases are compared in time, memory and quality."""

from report.reading.cases import CaseResult
from report.reading.measures import rest_bytes
from report.statistics.estimates import Estimate, Ratio
from report.statistics.intervals import ratio_of_medians
from report.statistics.seeds import paired_difference


def time_ratio(a: CaseResult, b: CaseResult) -> Ratio | None:
    """Return the time of a step of a over that of b; None where either was not timed."""
    one, other = a.processes(), b.processes()
    return ratio_of_medians(one, other, a.noise) if one and other else None


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
