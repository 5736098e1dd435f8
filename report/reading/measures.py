"""One number of a case stands for its time, one for its memory, one for its quality."""

from collections.abc import Callable

from report.reading.cases import CaseResult

Measured = Callable[[CaseResult], float | None]


def step_ms(case: CaseResult) -> float | None:
    """Return the time of a step in ms, the geometric mean of the medians of the processes."""
    time = case.time()
    return time.value if time else None


def rest_bytes(case: CaseResult) -> float | None:
    """Return the peak memory beyond weights, gradients and optimizer state, in bytes."""
    return case.memory("rest_bytes")


def bits_per_dim(case: CaseResult) -> float | None:
    """Return the held-out bits per dim, the mean over seeds."""
    found = case.bits()
    return found.value if found else None


MEASURES: dict[str, Measured] = {"time": step_ms, "memory": rest_bytes, "quality": bits_per_dim}
