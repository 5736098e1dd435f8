"""Times and their ratios get Student's intervals over processes.

A process's own level (memory layout, clocks) varies more than its samples do, so the process is the
unit: the value is the geometric mean of the processes' medians (over all samples together the
faster process, which has more of them, would count for more), and the interval is Student's over
the log medians; noise is relative. Each side of a ratio has its own noise, and the degrees of
freedom are those of Welch and Satterthwaite. `noise`: what other cases of the kind say.
"""

from math import exp

import numpy as np

from report.statistics.estimates import BAND, Estimate, Ratio, student_t
from report.statistics.noise import Noise, error_of_sum, noise_of_mean
from report.statistics.samples import Processes, geometric_mean_of_medians, log_medians


def estimate_geometric_mean(processes: Processes, noise: Noise | None = None) -> Estimate:
    """Estimate the geometric mean of the medians of the processes, with its interval.

    Fewer than three processes without `noise` have no interval.
    """
    value, n = geometric_mean_of_medians(processes), len(processes)
    known = noise_of_mean(log_medians(processes), noise)
    if known is None:
        return Estimate(value, n=n)
    error = known.variance**0.5
    return Estimate(value, *interval_around(value, error, known.df), n, error, known.df)


def ratio_of_medians(
    a: Processes,
    b: Processes,
    noise_a: Noise | None = None,
    noise_b: Noise | None = None,
    band: float = BAND,
) -> Ratio:
    """Estimate the ratio of two times, each the geometric mean of the medians of processes.

    Below 1, a is faster. noise_a, noise_b: of the kinds of a and b. Where either side has no
    interval alone, the ratio has none, and the verdict is "ambiguous".
    """
    value = geometric_mean_of_medians(a) / geometric_mean_of_medians(b)
    n = min(len(a), len(b))
    one, other = noise_of_mean(log_medians(a), noise_a), noise_of_mean(log_medians(b), noise_b)
    if one is None or other is None:
        return Ratio(value, n=n, band=band)
    error, df = map(float, error_of_sum(np.ones(2), [one, other]))
    return Ratio(value, *interval_around(value, error, df), n, error, df, band)


def interval_around(value: float, error: float, df: float) -> tuple[float, float]:
    """Return Student's interval of a value whose log has this standard error."""
    reach = exp(min(student_t(df) * error, 300))
    return value / reach, value * reach
