"""Times and their ratios get intervals, seeded, so that a report repeats exactly.

A process's own level (memory layout, clocks) varies more than its samples do, so the process is the
unit: the value is the geometric mean of the processes' medians (over all samples together the
faster process, which has more of them, would count for more), and the bootstrap draws processes
first and samples inside them. With two or three processes a plain bootstrap covers far too rarely
(60 to 80 % instead of 95 %); its width is therefore set to that of Student's t over the process
medians, and the bootstrap gives the shape. All on logs: noise is relative.
"""

from math import exp, sqrt

import numpy as np

from report.statistics.bootstrap import SEED, bootstrap_deviations
from report.statistics.estimates import BAND, TAILS, Estimate, Ratio, student_t
from report.statistics.noise import Noise, combined_noise
from report.statistics.samples import Array, Processes, geometric_mean_of_medians, log_medians


def estimate_geometric_mean(processes: Processes, noise: Noise | None = None) -> Estimate:
    """Estimate the geometric mean of the medians of the processes, with its interval.

    noise: what other cases say of the noise between processes (`process_noise`). With one process
    and no `noise` the interval knows only the spread inside that process; one sample has none.
    """
    value = geometric_mean_of_medians(processes)
    deviations = bootstrap_deviations(processes, np.random.default_rng(SEED))
    known = combined_noise([processes], noise)
    if known is None:
        n_samples = len(processes[0])
        known = Noise(float(deviations.var()), n_samples - 1)
    if known.df == 0:
        return Estimate(value, n=len(processes))
    centre = float(log_medians(processes).mean())
    half = student_t(known.df) * sqrt(known.variance / len(processes))
    return Estimate(value, *_around(value, centre, half, deviations), n=len(processes))


def ratio_of_medians(a: Processes, b: Processes, noise: Noise | None = None) -> Ratio:
    """Estimate the ratio of two times, each the geometric mean of the medians of processes.

    Below 1, a is faster. The noise of both is pooled. With one process each and no `noise` there is
    no interval, and the verdict is "ambiguous".
    """
    value = geometric_mean_of_medians(a) / geometric_mean_of_medians(b)
    n = min(len(a), len(b))
    known = combined_noise([a, b], noise)
    if known is None:
        return Ratio(value, n=n)
    rng = np.random.default_rng(SEED)
    deviations = bootstrap_deviations(a, rng) - bootstrap_deviations(b, rng)
    centre = float(log_medians(a).mean() - log_medians(b).mean())
    half = student_t(known.df) * sqrt(known.variance * (1 / len(a) + 1 / len(b)))
    low, high = _around(value, centre, half, deviations)
    return Ratio(value, low, high, n, smallest_visible=max(exp(min(half, 700)), BAND) - 1)


def _around(value: float, centre: float, half: float, deviations: Array) -> tuple[float, float]:
    """Return an interval of half-width `half` on logs that is as lopsided as the deviations.

    It holds the value.
    """
    down, up = -np.quantile(deviations, TAILS[0]), np.quantile(deviations, TAILS[1])
    mean = (down + up) / 2
    below, above = (down / mean, up / mean) if mean > 0 else (1.0, 1.0)
    low, high = exp(max(centre - half * below, -700)), exp(min(centre + half * above, 700))
    return min(low, value), max(high, value)
