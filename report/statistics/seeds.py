"""Quality is estimated over seeds: means and paired differences with Student's intervals."""

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

from report.statistics.estimates import Estimate, student_t

# Fewer seeds make no claim about quality.
MIN_SEEDS = 3


def mean_over_seeds(values: Sequence[float]) -> Estimate:
    """Return the mean over seeds with Student's interval; one seed has none.

    A percentile bootstrap of three seeds would cover 75 % only.
    """
    data = np.asarray(values, float)
    n = len(data)
    if n < 2:
        return Estimate(float(data.mean()), n=n)
    half = student_t(n - 1) * float(data.std(ddof=1)) / sqrt(n)
    centre = float(data.mean())
    return Estimate(centre, centre - half, centre + half, n)


def paired_difference(a: Mapping[int, float], b: Mapping[int, float]) -> Estimate:
    """Return the mean of a - b over the seeds that both have, with its interval.

    a, b: values by seed. Raises ValueError if no seed is in common.
    """
    seeds = sorted(set(a) & set(b))
    if not seeds:
        raise ValueError(f"no seed in common: {sorted(a)} and {sorted(b)}; run the same seeds")
    return mean_over_seeds([a[seed] - b[seed] for seed in seeds])
