"""Quality is estimated over seeds: means and paired differences with Student's intervals."""

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

from report.statistics.estimates import Estimate, student_t
from report.statistics.noise import Noise, moderated, noise_inside

# Fewer seeds make no claim about quality.
MIN_SEEDS = 3
BySeed = Mapping[int, float]


def mean_over_seeds(values: Sequence[float], prior: Noise | None = None) -> Estimate:
    """Return the mean over seeds with Student's interval; one seed has none.

    prior: what others of the kind say of the variance from seed to seed.
    """
    data = np.asarray(values, float)
    n, centre = len(data), float(data.mean())
    if n < 2:
        return Estimate(centre, n=n)
    known = moderated(float(((data - centre) ** 2).sum()), n - 1, prior)
    assert known is not None  # two seeds suffice
    error = sqrt(known.variance / n)
    half = student_t(known.df) * error
    return Estimate(centre, centre - half, centre + half, n, error, known.df)


def mean_share(percents: Sequence[float]) -> Estimate:
    """Return the mean over seeds of shares in %, with Student's interval cut at 0 and 100."""
    return mean_over_seeds(percents).within(0.0, 100.0)


def paired_difference(a: BySeed, b: BySeed, prior: Noise | None = None) -> Estimate:
    """Return the mean of a - b over the seeds that both have, with its interval.

    a, b: values by seed. Raises ValueError if no seed is in common.
    """
    if not set(a) & set(b):
        raise ValueError(f"no seed in common: {sorted(a)} and {sorted(b)}; run the same seeds")
    return mean_over_seeds(_differences(a, b), prior)


def is_different(a: BySeed, b: BySeed) -> bool:
    """Return whether two differ visibly: the interval of their paired difference leaves out 0."""
    return bool(a.keys() & b.keys()) and paired_difference(a, b).leaves_out_0


def difference_noise(pairs: Sequence[tuple[BySeed, BySeed]]) -> Noise | None:
    """Estimate from many pairs of a kind how paired differences vary from seed to seed."""
    return noise_inside(_differences(a, b) for a, b in pairs)


def _differences(a: BySeed, b: BySeed) -> list[float]:
    return [a[seed] - b[seed] for seed in sorted(set(a) & set(b))]
