"""The noise between processes is estimated from a case and from all cases of a run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, inf, isinf, log

import numpy as np
from scipy import special

from report.statistics.samples import Processes, log_medians

# Fewer cases than this say nothing about how noise varies between cases.
MIN_CASES_FOR_NOISE = 6
# However alike the cases look: a few dozen variances of one degree of freedom cannot show more.
MAX_PRIOR_DF = 8.0


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise is the variance, from process to process, of the log of a process's median.

    df: how many degrees of freedom tell it.
    """

    variance: float
    df: float


def process_noise(cases: Iterable[Processes]) -> Noise | None:
    """Estimate from all cases of a run the noise between processes; None if they are too few.

    Two processes tell little of their own noise; forty cases tell much about such noise. This is
    the prior that best explains the variances of all cases (Smyth 2004, section 6.2, "moderated
    t"): a case's own variance is then weighted against it, and the coverage holds on average over
    cases.
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


def combined_noise(groups: Sequence[Processes], prior: Noise | None) -> Noise | None:
    """Weight the pooled variance of the groups' processes against the prior.

    It is None if neither says anything: one process per group, and no prior.
    """
    own_df = float(sum(len(group) - 1 for group in groups))
    squares = sum(((m := log_medians(g)) - m.mean()) @ (m - m.mean()) for g in groups)
    if prior is None:
        return Noise(squares / own_df, own_df) if own_df else None
    df = own_df + prior.df
    return Noise((squares + prior.df * prior.variance) / df, df)


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
