"""A timing grows, process by process, until it is known well enough or may grow no more. No torch.

Processes differ more than the samples inside them, so the unit is the process: the interval is
Student's over the logs of their medians.
"""

from collections.abc import Mapping, Sequence
from math import expm1, inf, log, sqrt
from statistics import median, stdev
from typing import Any

from suites.engine.job import Job
from suites.settings import Settings

# Of two, Student's interval is luck: it was 133.0 +- 0.4 ms beside 67 to 141.
MIN_PROCESSES = 3
QUANTILE = 0.975

# One entry of the `processes` of a record's time part.
Process = Mapping[str, Any]


def limit(settings: Settings) -> int:
    """Return how many processes a timing has at most."""
    return max(settings.processes, settings.max_processes)


def least(settings: Settings) -> int:
    """Return how many processes a timing has at least."""
    return max(settings.processes, min(MIN_PROCESSES, limit(settings)))


def is_further(job: Job) -> bool:
    """Return whether a job is a timing beyond the least number, which may turn out needless."""
    return job.kind == "time" and job.index >= least(job.settings)


def stopped_by(processes: Sequence[Process], settings: Settings) -> str:
    """Say what ended the growth of a timing that has these processes; "" if one more is due.

    "interval": the 95 % interval reaches no further than `within`, and of the processes at least
    MIN_PROCESSES were not disturbed; those that were disturbed twice are in the interval, as in
    reports. "long": a step takes so long that each process has one sample, and the least number of
    them is all. "limit": there are as many as there may be.
    """
    if len(processes) < least(settings):
        return ""
    n_good = sum(not process["disturbed"] for process in processes)
    if n_good >= MIN_PROCESSES and half_width(processes) <= settings.within:
        return "interval"
    if any(process["stopped_by"] == "long" for process in processes):
        return "long"
    return "limit" if len(processes) >= limit(settings) else ""


def half_width(processes: Sequence[Process]) -> float:
    """Return how far the 95 % interval of the median step reaches, as a share of it.

    It is inf for fewer than MIN_PROCESSES.
    """
    medians = [median(process["samples_ms"]["step"]) for process in processes]
    if len(medians) < MIN_PROCESSES or min(medians) <= 0:
        return inf
    from scipy.special import stdtrit  # 0.2 s, which commands that need no interval would spend

    spread = stdev(map(log, medians))
    half = float(stdtrit(len(medians) - 1, QUANTILE)) * spread / sqrt(len(medians))
    return expm1(min(half, 700))
