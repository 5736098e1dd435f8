"""Time and memory scale with length, and from some length on one method is faster."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan, sqrt

import numpy as np
from scipy import stats

from report.statistics.bootstrap import N_DRAWS, SEED, bootstrap_deviations
from report.statistics.estimates import TAILS, Estimate, student_t
from report.statistics.noise import Noise, combined_noise
from report.statistics.samples import Array, Processes, log_medians


@dataclass(frozen=True, slots=True)
class Crossover:
    """A crossover is the length from which on one method is faster.

    0 is "already at the shortest", inf "beyond the measured range".
    """

    estimate: Estimate
    shortest: int
    longest: int

    def text(self) -> str:
        """Tell the length to people, with the interval."""
        value, low, high = self.estimate.value, self.estimate.low, self.estimate.high
        told = {0.0: f"under {self.shortest:,}", inf: f"over {self.longest:,}"}
        where = {0.0: "below the measured range", inf: "beyond the measured range"}
        if isnan(low) or low == value == high:
            return f"{where[value]} ({told[value]})" if value in told else f"{value:,.0f}"
        ends = " to ".join(told.get(end, f"{end:,.0f}") for end in (low, high))
        return f"{where.get(value, f'{value:,.0f}')} ({ends})"


def scaling_exponent(
    lengths: Sequence[float], groups: Sequence[Processes], noise: Noise | None = None
) -> Estimate:
    """Fit p in value ~ length^p by regression on logs; nan below two lengths.

    groups[i] was measured at lengths[i]. The interval is bootstrapped from the noise of the
    measurements; where each was made once (memory), it comes from the residuals of the line.
    """
    if len({*lengths}) < 2:
        return Estimate(nan, n=len(lengths))
    x = np.log(np.asarray(lengths, float))
    y = np.array([log_medians(group).mean() for group in groups])
    if combined_noise(groups, noise) is None:
        line = stats.linregress(x, y)
        half = student_t(len(x) - 2) * float(line.stderr) if len(x) > 2 else nan
        slope = float(line.slope)
        return Estimate(slope, slope - half, slope + half, len(x))
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    slopes = _log_draws(groups, noise) @ weights
    low, high = np.quantile(slopes, TAILS)
    return Estimate(float(y @ weights), float(low), float(high), len(x))


def crossover(
    lengths: Sequence[int],
    a: Sequence[Processes],
    b: Sequence[Processes],
    noise: Noise | None = None,
) -> Crossover:
    """Find the length from which on a is below b at all longer measured lengths.

    a[i], b[i]: samples at lengths[i], ascending; between lengths, lines are straight in log-log.
    Without noise (each measured once) there is no interval.
    """
    n = len(lengths)
    drawn = _log_draws([*a, *b], noise)
    known = combined_noise([*a, *b], noise) is not None
    middle = np.array([log_medians(p).mean() for p in [*a, *b]])[None]
    value = float(_last_crossing(lengths, middle[:, :n] - middle[:, n:])[0])
    low = high = nan
    if known:
        crossings = _last_crossing(lengths, drawn[:, :n] - drawn[:, n:])
        # no averaging of neighbours: some are infinite
        low, high = np.quantile(crossings, TAILS, method="inverted_cdf")
    return Crossover(Estimate(value, float(low), float(high), n), lengths[0], lengths[-1])


def _last_crossing(lengths: Sequence[int], difference: Array) -> Array:
    """Find the length at which each row of differences of logs last falls below 0.

    It is 0 for a row that is always below, and inf for one that is not below at its end.
    """
    x = np.log(np.asarray(lengths, float))
    above = difference >= 0
    last = difference.shape[1] - 1 - above[:, ::-1].argmax(axis=1)
    inner = np.minimum(last, max(len(x) - 2, 0))
    following = np.minimum(inner + 1, len(x) - 1)
    rows = np.arange(len(difference))
    start, end = difference[rows, inner], difference[rows, following]
    fall = np.where(start == end, 1.0, start - end)
    share = np.clip(start / fall, 0, 1)
    crossing = np.exp(x[inner] + share * (x[following] - x[inner]))
    crossing = np.where(last == len(x) - 1, inf, crossing)
    return np.where(above.any(axis=1), crossing, 0.0)


def _log_draws(groups: Sequence[Processes], noise: Noise | None) -> Array:
    """Draw the log median of each group, (N_DRAWS, groups).

    The draws are as wide as the pooled noise of all groups says.
    """
    rng = np.random.default_rng(SEED)
    known = combined_noise(groups, noise)
    columns = []
    for group in groups:
        deviations = bootstrap_deviations(group, rng)
        spread = deviations.std()
        if known is None:
            wanted = 0.0
        else:
            wanted = sqrt(known.variance / len(group)) * student_t(known.df) / student_t(inf)
        if spread == 0:
            deviations, spread = rng.standard_normal(N_DRAWS), 1.0
        columns.append(log_medians(group).mean() + deviations * wanted / spread)
    return np.stack(columns, axis=1)
