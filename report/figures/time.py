"""This figure draws the time of a step against the setting that the suite varies."""

from pathlib import Path

from report.figures.drawing import call_sizes_text, draw_failures, draw_lines, subject_of
from report.figures.style import add_legend, add_words, new_figure, save, tick_unit, x_axis, y_axis
from report.findings import suite_finding
from report.reading.cases import CaseResult
from report.reading.measures import MEASURES
from report.reading.series import View
from report.statistics.estimates import Estimate
from report.text import plural_range


def time_unit(view: View) -> tuple[float, str]:
    """Return the unit of times, in ms and by name: s where some take over 2 s, else ms."""
    longest = max((MEASURES["time"](case) or 0 for case in view.cases), default=0)
    return (1e3, "s") if longest > 2000 else (1, "ms")


def draw_time(view: View, folder: Path) -> list[Path]:
    """Draw the time of a step with its interval."""
    size, unit = time_unit(view)

    def scaled(case: CaseResult) -> Estimate | None:
        time = case.time()
        return time and time.divided_by(size)

    figure, (axes,) = new_figure()
    x_axis(axes, view)
    y_axis(axes, draw_lines(axes, view, scaled))
    tick_unit(axes, f"time per {subject_of(view)} ({unit})")
    draw_failures(axes, view, "time")
    add_legend(figure, axes)
    counts = [n for case in view.cases if (n := len(case.processes()))]
    note = (
        f"Geometric mean of the medians of {plural_range(counts, 'process')} per case; bars: "
        "95 % intervals (Student's t over processes)."
    )
    words = " ".join(filter(None, [view.caption, call_sizes_text(view), note]))
    add_words(figure, suite_finding(view, "time"), words)
    return save(figure, folder, f"{view.name}_time")
