"""Samples of time come as one array per process; some numbers are read off them directly."""

from collections.abc import Sequence
from math import exp
from statistics import median

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Processes = Sequence[Sequence[float] | Array]


def log_medians(processes: Processes) -> Array:
    """Return the log of the median of each process, (processes,)."""
    return np.log([float(median(process)) for process in processes])


def geometric_mean_of_medians(processes: Processes) -> float:
    """Return the geometric mean of the medians of the processes."""
    return exp(float(log_medians(processes).mean()))


def outliers(samples: Sequence[float] | Array) -> list[int]:
    """Find the samples beyond Tukey's fences and return their indices.

    These lie further from the quartiles than 1.5 times the distance of the quartiles. It is a
    label: outliers count like all other samples.
    """
    data = np.asarray(samples, float)
    low, high = np.quantile(data, (0.25, 0.75))
    reach = 1.5 * (high - low)
    return [int(i) for i in np.flatnonzero((data < low - reach) | (data > high + reach))]
