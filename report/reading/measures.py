"""One number of a case stands for its time, one for its memory, one for its quality."""

from collections.abc import Callable

from report.reading.cases import CaseResult
from report.reading.judged import score_of
from report.reading.series import View

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


def is_told(view: View, measure: str) -> bool:
    """Return whether a view tells a measure: with one x per line, there is nothing against x.

    Where its lines have one x each in any measure, or names in place of x, all are told.
    """
    lines = [line.cases for line in view.series if line.on_axis]
    if view.categories or all(len(cases) < 2 for cases in lines):
        return True
    return any(sum(_is_asked(case, measure) for case in cases) > 1 for cases in lines)


def _is_asked(case: CaseResult, measure: str) -> bool:
    asked = measure in (case.settings.get("measures") or ())
    return asked or MEASURES[measure](case) is not None
