"""This figure draws cases that words tell apart: a row for each, points with intervals."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import log10
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from report.figures.drawing import Value, error_bars, failed_points, subject_of
from report.figures.looks import OF_SIZES, Look, look_of_case
from report.figures.memory import memory_in_mib, memory_note
from report.figures.quality import quality_note
from report.figures.style import (
    GREY,
    LOG_FROM,
    add_legend,
    add_words,
    new_figure,
    possible_ticks,
    save,
)
from report.figures.time import time_unit
from report.findings import suite_finding
from report.reading.cases import CaseResult
from report.reading.judged import ACCURACY, judged_together, score_of
from report.reading.measures import MEASURES
from report.reading.series import Series, View
from report.statistics.estimates import Estimate

DECADE = 0.6  # inches that two labels of a log axis need
NAME_WIDTH = 22  # characters of a name in a line
ROW, LINE = 0.26, 0.11  # inches of a row, and more for each line of points in it


class Panel(NamedTuple):
    """A panel has a title and what it draws.

    beside: further readings, as (marker, label, value).
    """

    title: str
    value: Value
    beside: Sequence[tuple[str, str, Value]] = ()


def draw_categories(view: View, folder: Path, measure: str) -> list[Path]:
    """Draw "time", "memory" or "quality" of all categories that were to be measured on it."""
    panels, note = {"time": _time, "memory": _memory, "quality": _quality}[measure](view)
    view = replace(view, series=tuple(told_series(view, measure)))
    rows = sorted(view.x_values)
    height = 2.3 + len(rows) * (ROW + LINE * len(view.series))
    figure, all_axes = new_figure(len(panels), height)
    figure.subplots_adjust(left=0.2, wspace=0.12)
    for axes, panel in zip(all_axes, panels, strict=True):
        seen = draw_panel(axes, view, panel, rows)
        value_axis(axes, seen, from_zero=measure != "quality")
        if measure == "quality" and judged_together(view.cases) is ACCURACY:
            possible_ticks(axes.xaxis)
        is_log = axes.get_xscale() == "log"
        axes.set_title(f"{panel.title}, log" if is_log else panel.title, fontsize=10)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        names = row_names(view, rows) if axes is all_axes[0] else []
        axes.set_yticks(range(len(rows)), names or [""] * len(rows), fontsize=9.5)
        axes.grid(axis="y", linewidth=0.4)
    draw_what_failed(all_axes[0], view, measure, rows)
    for i, series in enumerate(view.series):
        if series.name and len(view.series) > 1:  # one size is told in the title
            look = look_of_point(view, i, series.cases[0])._replace(colour=GREY, line="")
            all_axes[0].plot([], [], **look.style, label=series.name)
    for marker, label, _ in panels[0].beside:
        all_axes[0].plot([], [], marker, color=GREY, markerfacecolor="none", label=label)
    add_legend(figure, all_axes[0])
    add_words(figure, suite_finding(view, measure), f"{view.caption} {note}")
    return save(figure, folder, f"{view.name}_{measure}")


def told_series(view: View, measure: str) -> Iterator[Series]:
    """Yield the lines with the cases that were to be measured on this, without empty ones."""
    for series in view.series:
        points = tuple(
            (x, case)
            for x, case in series.points
            if MEASURES[measure](case) is not None
            or (case.failure[0] and measure in (case.settings.get("measures") or ()))
        )
        if points:
            yield replace(series, points=points)


def row_names(view: View, rows: Sequence[float]) -> list[str]:
    """Return the names of the rows, in lines that fit beside the axis."""
    return [textwrap.fill(view.x_text(x), NAME_WIDTH) for x in rows]


def draw_panel(axes: Axes, view: View, panel: Panel, rows: Sequence[float]) -> list[float]:
    """Draw the points of a panel with their intervals, and return the values drawn."""
    seen: list[float] = []
    for i, series in enumerate(view.series):
        for x, case in series.points:
            at = rows.index(x) + offset(i, len(view.series))
            look = look_of_point(view, i, case)
            found = panel.value(case)
            if found is not None:
                axes.errorbar(
                    [found.value],
                    [at],
                    xerr=error_bars([found]),
                    **look.style,
                    markersize=6,
                    capsize=3,
                )
                seen += [v for v in (found.value, found.low, found.high) if v == v]
            for mark, _, value in panel.beside:
                other = value(case)
                if other is not None:
                    size = 12 if mark == "|" else 6
                    (drawn,) = axes.plot([other.value], [at], mark, color=look.colour)
                    drawn.set_markersize(size)
                    drawn.set_markerfacecolor("none")
                    seen.append(other.value)
    return seen


def look_of_point(view: View, i: int, case: CaseResult) -> Look:
    """Return the look of a case on the i-th line: that of its variant; a marker tells the size."""
    look = look_of_case(case)
    if len(view.series) == 1:
        return look
    return look._replace(marker=OF_SIZES[i % len(OF_SIZES)], fill="full")


def offset(i: int, n: int) -> float:
    """Return how far below the middle of its row the i-th of n lines has its points."""
    return 0.6 * ((i + 0.5) / n - 0.5) if n > 1 else 0.0


def value_axis(axes: Axes, seen: Sequence[float], from_zero: bool) -> None:
    """Make the x axis a log axis for a wide range, else from zero where that says something."""
    if not seen:
        axes.set_xticks([])
        return
    low, high = min(seen), max(seen)
    if low > 0 and high / low > LOG_FROM:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.4, high * 1.4)
        # room for a label more in each decade
        inches = axes.bbox.width / axes.figure.dpi / log10(high / low)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if inches > DECADE else (1.0,)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelsize=8)
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 10 else f"{x:g}")
        )
    elif from_zero:
        axes.set_xlim(0, high * 1.15)
    else:
        margin = 0.15 * (high - low) or 0.1
        axes.set_xlim(low - margin, high + margin)


def draw_what_failed(axes: Axes, view: View, measure: str, rows: Sequence[float]) -> None:
    """Write in its row what happened to each case that was to be measured and was not.

    Of such a case no panel has a point: what is written runs on into those to the right.
    """
    axes.set_zorder(2)
    axes.patch.set_visible(False)
    for i, series in enumerate(view.series):
        for x, what in failed_points(series, measure):
            name = f"{series.name}: {what}" if series.name else what
            at = rows.index(x) + offset(i, len(view.series))
            axes.text(
                0.02,
                at,
                f"x {name}",
                color=GREY,
                fontsize=8,
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
                transform=axes.get_yaxis_transform(),
            )


def _time(view: View) -> tuple[list[Panel], str]:
    size, unit = time_unit(view)

    def of(part: str) -> Value:
        def read(case: CaseResult) -> Estimate | None:
            time = case.time(part)
            return time and time.divided_by(size)

        return read

    parts = ["forward", "backward", "step"]
    names = {"step": subject_of(view)}
    panels = [Panel(f"{names.get(part, part)} ({unit})", of(part)) for part in parts]
    note = "Geometric means of the medians of processes; bars: 95 % intervals (Student's t)."
    return panels, note


def _memory(view: View) -> tuple[list[Panel], str]:
    predicted = [("|", "predicted peak", memory_in_mib("predicted_bytes"))]
    live = [("o", "live tensors", memory_in_mib("live_peak_bytes"))]
    live_rest = [("o", "live tensors", memory_in_mib("live_rest_bytes"))]
    panels = [
        Panel("peak memory (MiB)", memory_in_mib("peak_bytes"), [*live, *predicted]),
        Panel("activations and workspace (MiB)", memory_in_mib("rest_bytes"), live_rest),
    ]
    return panels, memory_note(view)


def _quality(view: View) -> tuple[list[Panel], str]:
    judged = judged_together(view.cases)
    panels = [Panel(judged.axis, lambda case: score_of(case, judged))]
    return panels, quality_note(view)
