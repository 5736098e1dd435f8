"""The one number of a case that stands for its time, its memory or its quality."""

from collections.abc import Callable

from report.reading.cases import CaseResult

Measured = Callable[[CaseResult], float | None]


def step_ms(case: CaseResult) -> float | None:
    """Median time of a step."""
    time = case.time()
    return time.value if time else None


def rest_bytes(case: CaseResult) -> float | None:
    """Peak memory beyond weights, gradients and optimizer state."""
    return case.memory("rest_bytes")


def bits_per_dim(case: CaseResult) -> float | None:
    """Mean held-out bits per dim."""
    found = case.bits()
    return found.value if found else None


MEASURES: dict[str, Measured] = {"time": step_ms, "memory": rest_bytes, "quality": bits_per_dim}
