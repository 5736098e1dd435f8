"""Time and memory scale with length, and from some length on one method is faster."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isnan, nan

import numpy as np
from scipy import special, stats

from report.statistics.estimates import TAILS, Estimate, student_t
from report.statistics.noise import Noise, error_of_sum, noise_of_mean
from report.statistics.samples import Array, Processes, log_medians

# A slope that changes by less over the whole range is one slope.
BEND = 0.1
# Between two lengths, so many places are tried for a crossover.
N_PLACES = 256
Priors = Sequence[Noise | None] | None


@dataclass(frozen=True, slots=True)
class Scaling:
    """A scaling says how a value grows with the length: value ~ length^exponent.

    exponent: over all lengths; slopes: from each length to the next. bends: does the line bend
    visibly, so that no one exponent describes it?
    """

    exponent: Estimate
    slopes: tuple[Estimate, ...]
    lengths: tuple[float, ...]
    bends: bool

    def text(self) -> str:
        """Tell the exponent to people, or, of a line that bends, its first and last slope."""
        if not self.bends:
            return _slope_text(self.exponent)
        shortest, second, *_, before, longest = (*self.lengths[:2], *self.lengths[-2:])
        first, last = (_slope_text(slope) for slope in (self.slopes[0], self.slopes[-1]))
        return (
            f"bends: {first} from {shortest:,.0f} to {second:,.0f}, "
            f"{last} from {before:,.0f} to {longest:,.0f}"
        )


@dataclass(frozen=True, slots=True)
class Crossover:
    """A crossover is the length from which on one method is faster.

    0 is "already at the shortest", inf "beyond the measured range". until: of a method that is
    ahead at some length and visibly behind at the longest, the length from which on it is slower.
    is_level: there is no visible difference at any length. unknown: why nothing can be told.
    """

    estimate: Estimate
    shortest: int
    longest: int
    until: Estimate | None = None
    is_level: bool = False
    unknown: str = ""

    def text(self) -> str:
        """Tell the length to people, with the interval."""
        if self.unknown:
            return f"not known: {self.unknown}"
        if self.is_level:
            return "no visible difference"
        return f"faster below {self._ends(self.until)} only" if self.until else self._ends()

    def phrase(self) -> str:
        """Tell it so that it follows a sentence: "crossover at 2,345 (2,020 to 2,592) tokens"."""
        if self.is_level or self.until:
            return f"{self.text()}{' tokens' if self.until else ' at any length'}"
        is_inside = not self.unknown and 0 < self.estimate.value < inf
        return f"crossover at {self.text()} tokens" if is_inside else f"crossover {self.text()}"

    def _ends(self, estimate: Estimate | None = None) -> str:
        one = estimate or self.estimate
        value, low, high = one.value, one.low, one.high
        told = {0.0: f"under {self.shortest:,}", inf: f"over {self.longest:,}"}
        where = {0.0: "below the measured range", inf: "beyond the measured range"}
        if isnan(low) or low == value == high:
            return f"{where[value]} ({told[value]})" if value in told else f"{value:,.0f}"
        ends = " to ".join(told.get(end, f"{end:,.0f}") for end in (low, high))
        return f"{where.get(value, f'{value:,.0f}')} ({ends})"


def scaling(
    lengths: Sequence[float], groups: Sequence[Processes], noise: Priors = None
) -> Scaling | None:
    """Fit p in value ~ length^p by regression on logs, and see whether the line bends.

    groups[i] was measured at lengths[i], ascending; noise[i] is of its kind. None below two
    lengths. Each length has its own noise; where one has no interval alone (memory is measured
    once), the exponent's interval comes from the residuals of the line and the slopes have none.
    """
    if len({*lengths}) < 2:
        return None
    x = np.log(np.asarray(lengths, float))
    y = np.array([log_medians(group).mean() for group in groups])
    means = _means(groups, noise)
    steps = np.diff(np.eye(len(x)), axis=0) / np.diff(x)[:, None]
    if means is None:
        slopes = tuple(Estimate(float(s)) for s in steps @ y)
        return Scaling(_line(x, y), slopes, tuple(lengths), float(np.ptp(steps @ y)) > BEND)
    slopes = tuple(_weighted(row, y, means) for row in steps)
    line = _weighted(np.linalg.pinv(np.vander(x, 2))[0], y, means)
    bends = False
    if len(x) > 2:
        # the slope at the end less that at the start, of a parabola through the points
        bend = _weighted(2 * (x[-1] - x[0]) * np.linalg.pinv(np.vander(x - x[0], 3))[0], y, means)
        bends = abs(bend.value) > BEND and not bend.low <= 0 <= bend.high
    return Scaling(line, slopes, tuple(lengths), bends)


def crossover(
    lengths: Sequence[int],
    a: Sequence[Processes],
    b: Sequence[Processes],
    noise_a: Priors = None,
    noise_b: Priors = None,
) -> Crossover:
    """Find the length from which on a is below b at all longer measured lengths.

    a[i], b[i]: samples at lengths[i], ascending; between lengths, lines are straight in log-log.
    The interval holds every length at which a visible difference does not speak against a crossing
    (Fieller 1954), after the last one at which a is visibly above. Where one case has no interval
    alone, there is none. Where no length shows a difference, it holds every length.
    """
    one, other = _means(a, noise_a), _means(b, noise_b)
    difference = np.array(
        [log_medians(p).mean() - log_medians(q).mean() for p, q in zip(a, b, strict=True)]
    )
    x = np.log(np.asarray(lengths, float))
    reach = np.zeros(len(x))
    if one is not None and other is not None:
        error, df = error_of_sum(np.hstack([np.eye(len(x))] * 2), [*one, *other])
        # the chance of any false difference is 5 % over all lengths together (Bonferroni)
        reach = special.stdtrit(df, 1 - TAILS[0] / len(x)) * error
    until = None
    if (difference < -reach).any() and difference[-1] > reach[-1]:
        until = _crossing(x, -difference, one, other)
    is_level = bool((abs(difference) <= reach).all())
    found = _crossing(x, difference, one, other)
    if is_level and found.has_interval:
        found = replace(found, low=0.0, high=inf)
    return Crossover(found, lengths[0], lengths[-1], until, is_level)


def _crossing(
    x: Array, difference: Array, a: list[Noise] | None, b: list[Noise] | None
) -> Estimate:
    value, low, high = _last_crossing(x, difference), nan, nan
    if a is not None and b is not None:
        low, high = _possible_crossings(x, difference, a, b, value)
    return Estimate(value, low, high, len(x))


def _means(groups: Sequence[Processes], noise: Priors) -> list[Noise] | None:
    priors = [None] * len(groups) if noise is None else noise
    found = [
        noise_of_mean(log_medians(group), prior)
        for group, prior in zip(groups, priors, strict=True)
    ]
    known = [one for one in found if one is not None]
    return known if len(known) == len(found) else None


def _weighted(weights: Array, y: Array, means: Sequence[Noise]) -> Estimate:
    """Return the weighted sum of means with Student's interval."""
    value = float(weights @ y)
    error, df = map(float, error_of_sum(weights, means))
    half = student_t(df) * error
    return Estimate(value, value - half, value + half, len(y), error, df)


def _line(x: Array, y: Array) -> Estimate:
    """Return the slope of the line through the points, its interval from their residuals."""
    line = stats.linregress(x, y)
    slope = float(line.slope)
    half = student_t(len(x) - 2) * float(line.stderr) if len(x) > 2 else nan
    return Estimate(slope, slope - half, slope + half, len(x))


def _last_crossing(x: Array, difference: Array) -> float:
    """Find the length at which a difference of logs last falls below 0.

    It is 0 for one that is always below, and inf for one that is not below at its end.
    """
    above = np.flatnonzero(difference >= 0)
    if len(above) == 0:
        return 0.0
    last = above[-1]
    if last == len(x) - 1:
        return inf
    share = difference[last] / (difference[last] - difference[last + 1])
    return float(np.exp(x[last] + share * (x[last + 1] - x[last])))


def _possible_crossings(
    x: Array, difference: Array, a: Sequence[Noise], b: Sequence[Noise], value: float
) -> tuple[float, float]:
    """Return the ends of the lengths at which the difference may be 0, and holds the value."""
    places = np.linspace(0, len(x) - 1, N_PLACES * (len(x) - 1) + 1)
    shares = np.maximum(0, 1 - abs(places[:, None] - np.arange(len(x))))
    error, df = error_of_sum(np.hstack([shares, shares]), [*a, *b])
    reach = special.stdtrit(df, TAILS[1]) * error
    here = shares @ difference
    above = np.flatnonzero(here > reach)
    start = above[-1] + 1 if len(above) else 0
    open_places = start + np.flatnonzero(abs(here[start:]) <= reach[start:])
    at = np.exp(np.interp(places, np.arange(len(x)), x))
    if start == len(places):
        return inf, inf
    first = at[min(start, len(at) - 1)] if len(above) else 0.0
    if len(open_places) == 0:
        return min(first, value), max(first, value)
    last = open_places[-1]
    high = inf if last == len(places) - 1 else at[last]
    return min(float(first), value), max(float(high), value)


def _slope_text(slope: Estimate) -> str:
    interval = f" ({slope.low:.2f} to {slope.high:.2f})" if slope.has_interval else ""
    return f"{slope.value:.2f}{interval}"
