"""Learning curves over steps and over training time, and who is ahead at equal time."""

from bisect import bisect_right
from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from report.reading.cases import CaseResult
from report.statistics.estimates import Estimate
from report.statistics.seeds import mean_over_seeds
from suites.engine.store.records import part_of

# Curves of fewer points are none.
MIN_POINTS = 3


class Curve(NamedTuple):
    """A curve of one seed: bits per dim after so many steps and seconds of training.

    seconds are empty where the record does not tell them.
    """

    steps: list[float]
    bits: list[float]
    seconds: list[float]


class Point(NamedTuple):
    """A point of several seeds; seconds are their mean, nan where any is not known."""

    step: float
    seconds: float
    bits: Estimate


class Lead(NamedTuple):
    """A lead tells how two models stand at equal training time, that of the shorter training.

    difference: in bits per dim, of the first less the second, seed by seed. Where one was not
    evaluated at that moment it lies between its evaluations before and after, and the difference is
    the smallest that this allows (is_least). at_s: that moment, the mean over seeds. since_s: from
    then on the same one is ahead with every seed; nan if at all times.
    """

    difference: Estimate
    at_s: float
    since_s: float
    is_least: bool

    @property
    def is_visible(self) -> bool:
        """Return whether the interval of the difference leaves out 0."""
        return self.difference.leaves_out_0


def curves_of(case: CaseResult) -> dict[int, Curve]:
    """Return the learning curve of each seed."""
    found = {}
    for record in case.records:
        quality = part_of(record, "quality")
        points = quality.get("curve") or []
        if len(points) >= MIN_POINTS:
            steps, bits = ([float(point[i]) for point in points] for i in (0, 1))
            found[int(record["seed"])] = Curve(steps, bits, list(quality.get("curve_s") or []))
    return found


def has_seconds(case: CaseResult) -> bool:
    """Return whether the seconds of all its curves are known."""
    curves = curves_of(case)
    return bool(curves) and all(curve.seconds for curve in curves.values())


def mean_curve(case: CaseResult) -> list[Point]:
    """Return the points that all seeds share, with intervals over seeds."""
    curves = list(curves_of(case).values())
    shared = sorted(set.intersection(*({*curve.steps} for curve in curves)))
    timed = has_seconds(case)
    points = []
    for step in shared:
        at = [curve.steps.index(step) for curve in curves]
        bits = mean_over_seeds([curve.bits[i] for curve, i in zip(curves, at, strict=True)])
        seconds = [curve.seconds[i] for curve, i in zip(curves, at, strict=True) if timed]
        points.append(Point(step, float(np.mean(seconds)) if timed else nan, bits))
    return points


def last_bits(case: CaseResult) -> dict[int, float]:
    """Return by seed the bits per dim at the end of the learning curve."""
    return {seed: curve.bits[-1] for seed, curve in curves_of(case).items()}


def bits_at(case: CaseResult, seconds: float) -> Estimate | None:
    """Return the bits per dim at the last evaluation within so many seconds of training.

    It is None before the first evaluation of a seed.
    """
    curves = curves_of(case).values()
    if not has_seconds(case) or any(curve.seconds[0] > seconds for curve in curves):
        return None
    return mean_over_seeds([c.bits[bisect_right(c.seconds, seconds) - 1] for c in curves])


def lead_of(a: CaseResult, b: CaseResult) -> Lead | None:
    """Compare two models at equal training time, seed by seed; None where times are not known."""
    one, other = curves_of(a), curves_of(b)
    seeds = sorted(one.keys() & other.keys())
    if not seeds or not (has_seconds(a) and has_seconds(b)):
        return None
    found = [_differences(one[seed], other[seed]) for seed in seeds]
    if any(len(one.moments) < 2 for one in found):
        return None
    low = mean_over_seeds([float(one.lowest[-1]) for one in found])
    high = mean_over_seeds([float(one.highest[-1]) for one in found])
    sign = -1 if high.value < 0 else 1 if low.value > 0 else 0
    # where nobody knows who is ahead, it may be either
    either = Estimate((low.value + high.value) / 2, low.low, high.high, low.n)
    return Lead(
        difference={-1: high, 0: either, 1: low}[sign],
        at_s=float(np.mean([one.moments[-1] for one in found])),
        since_s=float(np.fmax.reduce([one.since(sign) for one in found])),
        is_least=low.value < high.value,
    )


class _Differences(NamedTuple):
    """The differences of two curves lie between these, at each moment that one was evaluated."""

    moments: "np.ndarray"
    lowest: "np.ndarray"
    highest: "np.ndarray"

    def since(self, sign: int) -> float:
        """Return the moment since which the difference has this sign; nan if at all moments."""
        signs = np.where(self.highest < 0, -1, np.where(self.lowest > 0, 1, 0))
        others = np.flatnonzero(signs != sign)
        return float(self.moments[min(others[-1] + 1, len(signs) - 1)]) if len(others) else nan


def _differences(one: Curve, other: Curve) -> _Differences:
    first, last = max(one.seconds[0], other.seconds[0]), min(one.seconds[-1], other.seconds[-1])
    moments = np.array(sorted({t for t in (*one.seconds, *other.seconds) if first <= t <= last}))
    (low, high), (other_low, other_high) = (_range(curve, moments) for curve in (one, other))
    return _Differences(moments, low - other_high, high - other_low)


def _range(curve: Curve, moments: "np.ndarray") -> tuple["np.ndarray", "np.ndarray"]:
    """Return between which bits per dim a curve lies at moments: its evaluations around them."""
    bits = np.array(curve.bits)
    before = bits[np.searchsorted(curve.seconds, moments, side="right") - 1]
    after = bits[np.searchsorted(curve.seconds, moments, side="left")]
    return np.minimum(before, after), np.maximum(before, after)


def shortest_training_s(cases: Sequence[CaseResult]) -> float | None:
    """Return after how many seconds the first model had all its trainings; None if unknown."""
    known = [curves_of(case).values() for case in cases if has_seconds(case)]
    return min((max(c.seconds[-1] for c in curves) for curves in known), default=None)
