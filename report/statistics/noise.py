"""The noise between processes is told by a case's own processes, and by other cases of its kind."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from scipy import special

from report.statistics.samples import Array, Processes, log_medians

# Fewer processes make no interval alone: of two, one in ten is twelve times too narrow.
MIN_PROCESSES = 3
# Fewer cases than this say nothing about how noise varies between cases.
MIN_CASES_FOR_NOISE = 6
# However alike the cases look: so few degrees of freedom cannot show that they are more alike.
SHARE_OF_DF = 0.25
# Variances that differ more than that are of no one kind: each case then speaks for itself.
MIN_PRIOR_DF = 1.0


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise is a variance, such as that of the log of a process's median from process to process.

    df: how many degrees of freedom tell it.
    """

    variance: float
    df: float


def process_noise(cases: Iterable[Processes]) -> Noise | None:
    """Estimate from the cases of one kind the noise between processes; None if they are too few."""
    return noise_inside(log_medians(processes) for processes in cases)


def noise_inside(groups: Iterable[Sequence[float] | Array]) -> Noise | None:
    """Pool the variances inside groups of one kind of values into a prior (`prior_noise`).

    Groups of one value tell nothing.
    """
    several = [values for values in groups if len(values) > 1]
    return prior_noise([Noise(float(np.var(v, ddof=1)), len(v) - 1) for v in several])


def noise_by_kind(
    cases: Iterable[tuple[Hashable, Processes]],
) -> dict[Hashable, Noise | None]:
    """Estimate the noise between processes of each kind from its cases: (kind, processes)."""
    kinds: dict[Hashable, list[Processes]] = {}
    for kind, processes in cases:
        kinds.setdefault(kind, []).append(processes)
    return {kind: process_noise(found) for kind, found in kinds.items()}


def prior_noise(found: Sequence[Noise]) -> Noise | None:
    """Pool the variances of one kind into a prior; None if they are too few, or too unlike.

    Three processes tell little of their own noise; twenty cases tell much about such noise. A
    case's own variance is then weighted against the prior (Smyth 2004, section 6.2, "moderated t"):
    the more the variances differ beyond chance, the less the prior weighs. Coverage then holds on
    average over the kind, not for its noisiest case. The prior is the mean over all degrees of
    freedom, not Smyth's mean of logs: where processes are added until an interval is narrow,
    variances of few processes are too small, and only their mean by weight stays right.
    """
    variance = np.array([one.variance for one in found])
    df = np.array([one.df for one in found])[variance > 0]
    variance = variance[variance > 0]
    if len(variance) < MIN_CASES_FOR_NOISE:
        return None
    level = np.log(variance) - special.digamma(df / 2) + np.log(df / 2)
    excess = level.var(ddof=1) - special.polygamma(1, df / 2).mean()
    prior_df = 2 * _inverse_trigamma(excess) if excess > 0 else inf
    if prior_df < MIN_PRIOR_DF:
        return None
    return Noise(float(df @ variance / df.sum()), min(prior_df, SHARE_OF_DF * float(df.sum())))


def moderated(squares: float, df: float, prior: Noise | None, least_df: float = 1) -> Noise | None:
    """Weight a sum of squares of so many degrees of freedom against the prior.

    It is None without a prior where there are fewer than `least_df`.
    """
    if prior is None:
        return Noise(squares / df, df) if df >= least_df else None
    return Noise((squares + prior.df * prior.variance) / (df + prior.df), df + prior.df)


def noise_of_mean(logs: Array, prior: Noise | None) -> Noise | None:
    """Estimate the variance of the mean of one log for each process, or pair of them, of a case.

    It is None for fewer than three processes without a prior from cases of their kind.
    """
    squares = float(((logs - logs.mean()) ** 2).sum())
    known = moderated(squares, len(logs) - 1, prior, MIN_PROCESSES - 1)
    return Noise(known.variance / len(logs), known.df) if known else None


def error_of_sum(weights: Array, means: Sequence[Noise]) -> tuple[Array, Array]:
    """Return the standard error of weighted sums of independent means, and its df.

    weights: (..., means). Each mean has its own variance; the degrees of freedom are those of Welch
    and Satterthwaite. Returns two arrays (...).
    """
    variance = np.array([one.variance for one in means])
    df = np.array([one.df for one in means])
    terms = weights**2 * variance
    total, spread = terms.sum(axis=-1), (terms**2 / df).sum(axis=-1)
    certain = spread == 0
    found = np.where(certain, df.sum(), total**2 / np.where(certain, 1.0, spread))
    return np.sqrt(total), found


def _inverse_trigamma(y: float) -> float:
    """Solve trigamma(x) = y > 0 for x.

    Newton's method on 1 / trigamma, which is nearly a line (Smyth 2004, appendix).
    """
    x = 0.5 + 1 / y
    for _ in range(50):
        here = float(special.polygamma(1, x))
        step = here * (1 - here / y) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
