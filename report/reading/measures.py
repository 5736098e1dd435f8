"""One number of a case stands for its time, one for its memory, one for its quality."""

from collections.abc import Callable

from report.reading.cases import CaseResult
from report.reading.judged import score_of

Measured = Callable[[CaseResult], float | None]


def step_ms(case: CaseResult) -> float | None:
    """Return the time of a step in ms, the geometric mean of the medians of the processes."""
    time = case.time()
    return time.value if time else None


def rest_bytes(case: CaseResult) -> float | None:
    """Return the peak memory beyond weights, gradients and optimizer state, in bytes."""
    return case.memory("rest_bytes")


def score(case: CaseResult) -> float | None:
    """Return what the case is judged by, the mean over seeds: bits per dim, or accuracy in %."""
    found = score_of(case)
    return found.value if found else None


MEASURES: dict[str, Measured] = {"time": step_ms, "memory": rest_bytes, "quality": score}
