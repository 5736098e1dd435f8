"""The hierarchical bootstrap draws processes first, and samples inside them."""

import numpy as np

from report.statistics.samples import Array, Processes, log_medians

N_DRAWS = 1000
# The same records give the same report.
SEED = 0


def bootstrap_deviations(processes: Processes, rng: np.random.Generator) -> Array:
    """Bootstrap how far the mean of the log medians of the processes deviates.

    Returns (N_DRAWS,) deviations. The median of n samples drawn from n is the sample at a rank that
    follows a beta distribution, so no sample need be drawn.
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
