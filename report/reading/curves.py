"""Learning curves over steps and over training time, and who is ahead at equal time."""

from collections.abc import Mapping, Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from report.reading.cases import CaseResult
from report.statistics.estimates import Estimate
from report.statistics.seeds import mean_over_seeds
from suites.engine.store.records import part_of

# Curves of fewer points are none.
MIN_POINTS = 3
# Between the first and the last common moment, so many are compared.
N_MOMENTS = 400


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
    """A lead tells how two models stand at equal training time.

    difference: in bits per dim, of the first less the second, at the last moment that both have.
    at_s: that moment. since_s: from then on the same one is ahead, on average; nan if at all times.
    """

    difference: Estimate
    at_s: float
    since_s: float

    @property
    def is_visible(self) -> bool:
        """Return whether the interval of the difference leaves out 0."""
        return self.difference.low > 0 or self.difference.high < 0


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


def bits_at(case: CaseResult, seconds: float) -> Estimate | None:
    """Return the bits per dim after so many seconds of training, between points on a line.

    It is None before the first point of a seed, and after the last.
    """
    curves = curves_of(case).values()
    if not has_seconds(case) or not all(c.seconds[0] <= seconds <= c.seconds[-1] for c in curves):
        return None
    return mean_over_seeds([float(np.interp(seconds, c.seconds, c.bits)) for c in curves])


def lead_of(a: CaseResult, b: CaseResult) -> Lead | None:
    """Compare two models at equal training time, seed by seed; None where times are not known."""
    one, other = curves_of(a), curves_of(b)
    seeds = sorted(one.keys() & other.keys())
    if not seeds or not (has_seconds(a) and has_seconds(b)):
        return None
    both = [curves[seed] for curves in (one, other) for seed in seeds]
    first, last = max(c.seconds[0] for c in both), min(c.seconds[-1] for c in both)
    if first >= last:
        return None
    moments = np.linspace(first, last, N_MOMENTS)
    differences = np.array([_at(one, s, moments) - _at(other, s, moments) for s in seeds])
    signs = np.sign(differences.mean(axis=0))
    changes = np.flatnonzero(signs != signs[-1])
    since = nan if len(changes) == 0 else float(moments[changes[-1] + 1])
    return Lead(mean_over_seeds(list(differences[:, -1])), float(last), since)


def _at(curves: Mapping[int, Curve], seed: int, moments: "np.ndarray") -> "np.ndarray":
    return np.interp(moments, curves[seed].seconds, curves[seed].bits)


def shortest_training_s(cases: Sequence[CaseResult]) -> float | None:
    """Return after how many seconds the first of several trainings was done; None if unknown."""
    known = [case for case in cases if has_seconds(case)]
    ends = [curve.seconds[-1] for case in known for curve in curves_of(case).values()]
    return min(ends, default=None)
