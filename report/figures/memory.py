"""This figure draws the peak memory of a step, measured two ways and predicted."""

from pathlib import Path

from matplotlib.axes import Axes

from report.figures.drawing import (
    THICK,
    THIN,
    Value,
    call_sizes_text,
    draw_failures,
    draw_lines,
    subject_of,
)
from report.figures.looks import looks
from report.figures.style import (
    GREY,
    add_legend,
    add_words,
    is_wide,
    new_figure,
    save,
    tick_unit,
    x_axis,
    y_axis,
)
from report.findings import suite_finding
from report.reading.cases import CaseResult
from report.reading.series import View
from report.statistics.estimates import Estimate

MIB = 2**20


def draw_memory(view: View, folder: Path) -> list[Path]:
    """Draw the peak memory of a step, in all and for activations and workspace alone.

    Lines are the whole process, thin ones the live tensors, bars the prediction.
    """
    figure, panels = new_figure(2)
    whole, rest = panels
    names = {whole: ("peak_bytes", "live_peak_bytes"), rest: ("rest_bytes", "live_rest_bytes")}
    drawn: dict[Axes, list[float]] = {}
    for axes, (process, live) in names.items():
        x_axis(axes, view)
        seen = draw_lines(axes, view, memory_in_mib(process))
        seen += draw_lines(axes, view, memory_in_mib(live), thin=True)
        seen += draw_predictions(axes, view) if axes is whole else []
        drawn[axes] = [value for value in seen if value > 0]
    for axes, values in drawn.items():
        y_axis(axes, values, base=2, always_log=any(map(is_wide, drawn.values())))
        tick_unit(axes, "peak memory (MiB)" if axes is whole else "activations and workspace (MiB)")
        draw_failures(axes, view, "memory")
    for width, label in ((THICK, "whole process"), (THIN, "thin: live tensors")):
        whole.plot([], [], color=GREY, label=label, linewidth=width["linewidth"])
    if any(case.memory("predicted_bytes") for case in view.cases):
        whole.plot(
            [], [], "_", color=GREY, markersize=12, markeredgewidth=2, label="predicted peak"
        )
    add_legend(figure, whole)
    words = " ".join(filter(None, [view.caption, call_sizes_text(view), memory_note(view)]))
    add_words(figure, suite_finding(view, "memory"), words)
    return save(figure, folder, f"{view.name}_memory")


def memory_note(view: View) -> str:
    """Say what the two panels of memory show."""
    return (
        f"Left: peak of one {subject_of(view)}, interpreter subtracted. Right: the same less "
        "weights, gradients and optimizer state. Measured once per case: no interval."
    )


def memory_in_mib(name: str) -> Value:
    """Return a function that reads an entry of a case's memory in MiB."""

    def read(case: CaseResult) -> Estimate | None:
        value = case.memory(name)
        return None if value is None else Estimate(value / MIB)

    return read


def draw_predictions(axes: Axes, view: View) -> list[float]:
    """Draw a bar at the predicted peak of each case, and return the peaks in MiB."""
    seen = []
    for series, look in zip(view.series, looks(view.series), strict=True):
        for x, case in series.points:
            predicted = case.memory("predicted_bytes")
            if predicted is None:
                continue
            seen.append(predicted / MIB)
            if series.on_axis:
                (bar,) = axes.plot(x, predicted / MIB, "_", color=look.colour)
            else:
                where = axes.get_yaxis_transform()
                (bar,) = axes.plot(0.94, predicted / MIB, "_", color=look.colour, transform=where)
            bar.set(markersize=14, markeredgewidth=2)
    return seen
