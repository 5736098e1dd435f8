"""Intervals, verdicts, scaling and crossovers (MEASURING.md, Statistics). Seeded, so that a report
repeats exactly.

Times come as one array of samples per process. A process's own level (memory layout, clocks) varies
more than its samples do, so the process is the unit: the value is the geometric mean of the
processes' medians (over all samples together the faster process, which has more of them, would
count for more), and the bootstrap draws processes first and samples inside them. With two or three
processes a plain bootstrap covers far too rarely (60 to 80 % instead of 95 %); its width is
therefore set to that of Student's t over the process medians, and the bootstrap gives the shape.
All on logs: noise is relative.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isinf, isnan, log, nan, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

# "same" is a ratio within 3 %, either way round.
BAND = 1.03
LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
N_DRAWS = 1000
# Fewer seeds make no claim about quality (MEASURING.md, Quality).
MIN_SEEDS = 3
# Fewer cases than this say nothing about how noise varies between cases.
MIN_CASES_FOR_NOISE = 6
# However alike the cases look: a few dozen variances of one degree of freedom cannot show more.
MAX_PRIOR_DF = 8.0

Array = NDArray[np.float64]
Processes = Sequence[Sequence[float] | Array]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95 % interval; low and high are nan where nothing can be said. n: processes
    or seeds.
    """

    value: float
    low: float = nan
    high: float = nan
    n: int = 1

    @property
    def has_interval(self) -> bool:
        """Is there an interval?"""
        return not isnan(self.low)


@dataclass(frozen=True, slots=True)
class Ratio(Estimate):
    """A ratio of two medians. smallest_visible: the least relative difference that could have been
    seen.
    """

    smallest_visible: float = nan

    @property
    def verdict(self) -> str:
        """Of the numerator: "same" (interval within 3 %), "slower" or "faster" (interval beyond 1,
        over 3 %), "ambiguous".
        """
        if not self.has_interval:
            return "ambiguous"
        if 1 / BAND <= self.low and self.high <= BAND:
            return "same"
        if self.low > 1 and self.value > BAND:
            return "slower"
        if self.high < 1 and self.value < 1 / BAND:
            return "faster"
        return "ambiguous"


@dataclass(frozen=True, slots=True)
class Noise:
    """Variance of the log of a process's median from process to process, and how many degrees of
    freedom tell it.
    """

    variance: float
    df: float


def median(processes: Processes, noise: Noise | None = None, seed: int = 0) -> Estimate:
    """The typical median of the processes with its interval. noise: what other cases say of it
    (`process_noise`).

    With one process and no `noise` the interval knows only the spread inside that process; one
    sample has none.
    """
    value = middle(processes)
    deviations = bootstrap_deviations(processes, np.random.default_rng(seed))
    known = combined_noise([processes], noise)
    if known is None:
        n_samples = len(processes[0])
        known = Noise(float(deviations.var()), n_samples - 1)
    if known.df == 0:
        return Estimate(value, n=len(processes))
    centre = float(log_medians(processes).mean())
    half = student_t(known.df) * sqrt(known.variance / len(processes))
    return Estimate(value, *_around(value, centre, half, deviations), n=len(processes))


def ratio_of_medians(
    a: Processes, b: Processes, noise: Noise | None = None, seed: int = 0
) -> Ratio:
    """Median of a over median of b; below 1, a is faster. The noise of both is pooled.

    With one process each and no `noise` there is no interval, and the verdict is "ambiguous".
    """
    value = middle(a) / middle(b)
    n = min(len(a), len(b))
    known = combined_noise([a, b], noise)
    if known is None:
        return Ratio(value, n=n)
    rng = np.random.default_rng(seed)
    deviations = bootstrap_deviations(a, rng) - bootstrap_deviations(b, rng)
    centre = float(log_medians(a).mean() - log_medians(b).mean())
    half = student_t(known.df) * sqrt(known.variance * (1 / len(a) + 1 / len(b)))
    low, high = _around(value, centre, half, deviations)
    return Ratio(value, low, high, n, smallest_visible=max(exp(min(half, 700)), BAND) - 1)


def process_noise(cases: Iterable[Processes]) -> Noise | None:
    """What the cases of a run together say of the noise between processes; None if they are too
    few.

    Two processes tell little of their own noise; forty cases tell much about such noise. The prior
    that best explains the variances of all cases (Smyth 2004, section 6.2, "moderated t"): a case's
    own variance is then weighted against it, and the coverage holds on average over cases.
    """
    several = [p for p in cases if len(p) > 1]
    variance = np.array([log_medians(p).var(ddof=1) for p in several])
    df = np.array([len(p) - 1.0 for p in several])[variance > 0]
    variance = variance[variance > 0]
    if len(variance) < MIN_CASES_FOR_NOISE:
        return None
    level = np.log(variance) - special.digamma(df / 2) + np.log(df / 2)
    excess = level.var(ddof=1) - special.polygamma(1, df / 2).mean()
    prior_df = 2 * _inverse_trigamma(excess) if excess > 0 else inf
    # the level of the variance follows from the df that fits, its weight from the capped one
    shift = 0.0 if isinf(prior_df) else float(special.digamma(prior_df / 2)) - log(prior_df / 2)
    return Noise(exp(float(level.mean()) + shift), min(prior_df, MAX_PRIOR_DF))


def mean_over_seeds(values: Sequence[float]) -> Estimate:
    """The mean with Student's interval; one seed has none. (A percentile bootstrap of three seeds
    covers 75 %.)
    """
    data = np.asarray(values, float)
    n = len(data)
    if n < 2:
        return Estimate(float(data.mean()), n=n)
    half = student_t(n - 1) * float(data.std(ddof=1)) / sqrt(n)
    centre = float(data.mean())
    return Estimate(centre, centre - half, centre + half, n)


def paired_difference(a: Mapping[int, float], b: Mapping[int, float]) -> Estimate:
    """Mean of a - b over the seeds that both have. Raises ValueError if there is none."""
    seeds = sorted(set(a) & set(b))
    if not seeds:
        raise ValueError(f"no seed in common: {sorted(a)} and {sorted(b)}; run the same seeds")
    return mean_over_seeds([a[seed] - b[seed] for seed in seeds])


def middle(processes: Processes) -> float:
    """The geometric mean of the medians of the processes."""
    return exp(float(log_medians(processes).mean()))


def outliers(samples: Sequence[float] | Array) -> list[int]:
    """Which samples lie further from the quartiles than 1.5 times their distance (Tukey's fences).

    A label: outliers count like all other samples.
    """
    data = np.asarray(samples, float)
    low, high = np.quantile(data, (0.25, 0.75))
    reach = 1.5 * (high - low)
    return [int(i) for i in np.flatnonzero((data < low - reach) | (data > high + reach))]


def log_medians(processes: Processes) -> Array:
    return np.log([float(np.median(process)) for process in processes])


def bootstrap_deviations(processes: Processes, rng: np.random.Generator) -> Array:
    """Hierarchical bootstrap: what the mean of the log medians of the processes deviates by,
    N_DRAWS times.

    The median of n samples drawn from n is the sample at a rank that follows a beta distribution.
    """
    logs = [np.log(np.sort(np.asarray(process, float))) for process in processes]
    sizes = np.array([len(samples) for samples in logs])
    drawn = rng.integers(len(logs), size=(N_DRAWS, len(logs)))
    half = (sizes[drawn] + 1) / 2
    ranks = rng.beta(half, half)
    medians = np.empty(drawn.shape)
    for i, samples in enumerate(logs):
        here = drawn == i
        medians[here] = np.interp(ranks[here], (np.arange(sizes[i]) + 0.5) / sizes[i], samples)
    return medians.mean(axis=1) - log_medians(processes).mean()


def combined_noise(groups: Sequence[Processes], prior: Noise | None) -> Noise | None:
    """The pooled variance of the groups' processes, weighted against the prior; None if neither
    says anything.
    """
    own_df = float(sum(len(group) - 1 for group in groups))
    squares = sum(((m := log_medians(g)) - m.mean()) @ (m - m.mean()) for g in groups)
    if prior is None:
        return Noise(squares / own_df, own_df) if own_df else None
    df = own_df + prior.df
    return Noise((squares + prior.df * prior.variance) / df, df)


def _around(value: float, centre: float, half: float, deviations: Array) -> tuple[float, float]:
    """An interval of half-width `half` on logs, as lopsided as the deviations are, that holds the
    value.
    """
    down, up = -np.quantile(deviations, TAILS[0]), np.quantile(deviations, TAILS[1])
    mean = (down + up) / 2
    below, above = (down / mean, up / mean) if mean > 0 else (1.0, 1.0)
    low, high = exp(max(centre - half * below, -700)), exp(min(centre + half * above, 700))
    return min(low, value), max(high, value)


def student_t(df: float) -> float:
    return float(special.stdtrit(df, TAILS[1])) if not isinf(df) else float(special.ndtri(0.975))


def _inverse_trigamma(y: float) -> float:
    """x with trigamma(x) = y > 0, by Newton's method on 1 / trigamma, which is nearly a line (Smyth
    2004, appendix).
    """
    x = 0.5 + 1 / y
    for _ in range(50):
        here = float(special.polygamma(1, x))
        step = here * (1 - here / y) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
