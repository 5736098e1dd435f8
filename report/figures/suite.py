"""One figure per suite and measure: time per step, peak memory, bits per dim (PNG and SVG). No
torch.
"""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes

from report.figures.drawing import Value, draw_failures, draw_lines, draw_seeds, failed_points
from report.figures.evaluated_with import draw_evaluated_with
from report.figures.learning_curves import draw_learning_curves, learning_curves
from report.figures.paper_figure_5 import draw_attention_speed
from report.figures.style import (
    GREY,
    SETTINGS,
    add_legend,
    add_words,
    looks,
    new_figure,
    save,
    tick_unit,
    x_axis,
    y_axis,
)
from report.findings import suite_finding
from report.reading.cases import CaseResult
from report.reading.measures import MEASURES
from report.reading.series import View
from report.statistics.estimates import Estimate
from report.tables.evaluated_with_table import evaluated_cases
from report.text import plural

MIB = 2**20


def draw_suite(view: View, folder: Path) -> list[Path]:
    """All figures of a suite for whatever it measured; failed cases alone make a figure too."""
    paths = []
    with matplotlib.rc_context(SETTINGS):
        for measure, draw in (
            ("time", draw_time),
            ("memory", draw_memory),
            ("quality", draw_quality),
        ):
            asked = any(measure in (case.settings.get("measures") or ()) for case in view.cases)
            if asked or any(MEASURES[measure](case) is not None for case in view.cases):
                paths += draw(view, folder)
        if evaluated_cases(view.cases):
            paths += draw_evaluated_with(view, folder)
        if any(learning_curves(case) for case in view.cases):
            paths += draw_learning_curves(view, folder)
        attention = [case for case in view.cases if case.settings.get("subject") == "attention"]
        tokens = {case.settings["batch"] * case.settings["length"] for case in attention}
        if len(tokens) == 1 and any(case.time("forward") for case in attention):
            paths += draw_attention_speed(view, folder)
    return paths


def subject_of(view: View) -> str:
    """What a suite measures one of."""
    attention = all(case.settings.get("subject") == "attention" for case in view.cases)
    return "attention call" if attention else "training step"


def draw_time(view: View, folder: Path) -> list[Path]:
    """Median time of a training step against the suite's setting."""

    longest = max((MEASURES["time"](case) or 0 for case in view.cases), default=0)
    size, unit = (1e3, "s") if longest > 2000 else (1, "ms")

    def scaled(case: CaseResult) -> Estimate | None:
        time = case.time()
        return time and Estimate(time.value / size, time.low / size, time.high / size, time.n)

    figure, (axes,) = new_figure()
    x_axis(axes, view)
    y_axis(axes, draw_lines(axes, view, scaled))
    tick_unit(axes, f"time per {subject_of(view)} ({unit})")
    draw_failures(axes, view, "time")
    add_legend(figure, axes)
    n = max((len(case.processes()) for case in view.cases), default=0)
    note = (
        f"Mean of the medians of {plural(n, 'process')} per case; bars: 95 % intervals "
        "(hierarchical bootstrap, widened for the few processes as Student's t is)."
    )
    add_words(figure, suite_finding(view, "time"), f"{view.caption} {note}")
    return save(figure, folder, f"{view.name}_time")


def draw_memory(view: View, folder: Path) -> list[Path]:
    """Peak memory of a step: in all, and for activations and workspace alone; measured two ways,
    and predicted.
    """
    figure, panels = new_figure(2)
    whole, rest = panels
    names = {whole: ("peak_bytes", "live_peak_bytes"), rest: ("rest_bytes", "live_rest_bytes")}
    for axes, (process, live) in names.items():
        x_axis(axes, view)
        seen = draw_lines(axes, view, mebibytes(process))
        seen += draw_lines(axes, view, mebibytes(live), style="--", named=False)
        if axes is whole:
            seen += draw_predictions(axes, view)
        y_axis(axes, [value for value in seen if value > 0], base=2)
        tick_unit(axes, "peak memory (MiB)" if axes is whole else "activations and workspace (MiB)")
        draw_failures(axes, view, "memory")
    for style, label in (("-", "whole process"), ("--", "live tensors")):
        whole.plot([], [], style, color=GREY, label=label)
    if any(case.memory("predicted_bytes") for case in view.cases):
        whole.plot(
            [], [], "_", color=GREY, markersize=12, markeredgewidth=2, label="predicted peak"
        )
    add_legend(figure, whole)
    note = (
        f"Left: peak of one {subject_of(view)}, interpreter subtracted. Right: the same less "
        "weights, gradients and optimizer state. Measured once per case: no interval."
    )
    add_words(figure, suite_finding(view, "memory"), f"{view.caption} {note}")
    return save(figure, folder, f"{view.name}_memory")


def draw_quality(view: View, folder: Path) -> list[Path]:
    """Held-out bits per dim, seeds as dots, beside count models of the same text."""
    figure, (axes,) = new_figure()
    at = {x for s in view.series if s.on_axis for x, case in s.points if case.quality()}
    at |= {x for s in view.series if s.on_axis for x, _ in failed_points(s, "quality")}
    x_axis(axes, view, sorted(at))
    seen = draw_lines(axes, view, CaseResult.bits, spread=True)
    seen += draw_seeds(axes, view)
    if seen:
        margin = 0.15 * (max(seen) - min(seen)) or 0.1
        axes.set_ylim(min(seen) - margin, max(seen) + margin)
        draw_references(axes, view)
    axes.set_ylabel("held-out bits per dim (lower is better)")
    draw_failures(axes, view, "quality")
    add_legend(figure, axes)
    seeds = {len(case.quality()) for case in view.cases if case.quality()}
    if seeds == {1}:
        note = "One seed: no interval."
    else:
        note = "Dots: seeds; bars: 95 % intervals over seeds (Student's t). "
        note += "Differences in the title are paired over seeds."
        note += " Cases of one seed have no interval." if 1 in seeds else ""
    steps = sorted({case.settings["train_steps"] for case in view.cases if case.quality()})
    trained = f"After {' or '.join(map(str, steps))} training steps. " if steps else ""
    add_words(
        figure, suite_finding(view, "quality"), f"{view.caption} {trained}{note}{_stand_in(view)}"
    )
    return save(figure, folder, f"{view.name}_quality")


def mebibytes(name: str) -> Value:
    """A reading of a memory entry in MiB."""

    def read(case: CaseResult) -> Estimate | None:
        value = case.memory(name)
        return None if value is None else Estimate(value / MIB)

    return read


def draw_predictions(axes: Axes, view: View) -> list[float]:
    """A bar at the predicted peak of each case."""
    seen = []
    for series, (colour, _) in zip(view.series, looks(view.series), strict=True):
        for x, case in series.points:
            predicted = case.memory("predicted_bytes")
            if predicted is None:
                continue
            seen.append(predicted / MIB)
            if series.on_axis:
                axes.plot(x, predicted / MIB, "_", color=colour, markersize=14, markeredgewidth=2)
            else:
                axes.plot(
                    0.97,
                    predicted / MIB,
                    "_",
                    color=colour,
                    markersize=14,
                    markeredgewidth=2,
                    transform=axes.get_yaxis_transform(),
                )
    return seen


def draw_references(axes: Axes, view: View) -> None:
    """Count models as dotted lines; those far off the data are named at the edge, or they would
    squeeze the lines.
    """
    found: dict[str, float] = {}
    for case in view.cases:
        for record in case.records:
            data = (record.get("quality") or {}).get("data") or {}
            found |= data.get("reference") or {}
    low, high = axes.get_ylim()
    room = high - low
    near = [v for v in found.values() if low - room <= v <= high + room]
    low, high = (
        min([low, *(v - 0.08 * room for v in near)]),
        max([high, *(v + 0.08 * room for v in near)]),
    )
    axes.set_ylim(low, high)
    off = []
    for name, value in sorted(found.items(), key=lambda item: item[1]):
        if not low <= value <= high:
            off.append(f"{name}: {value:.2f} ({'above' if value > high else 'below'})")
            continue
        axes.axhline(value, color=GREY, linestyle=":", linewidth=1.3)
        axes.annotate(
            f"count model, {name}: {value:.2f}" if "order" in name else f"{name}: {value:.2f}",
            (0.01, value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(0, 2),
            textcoords="offset points",
            fontsize=8.5,
            color=GREY,
        )
    if off:
        axes.plot([], [], ":", color=GREY, label="off the axis: " + ", ".join(off))


def _stand_in(view: View) -> str:
    data = [
        (record.get("quality") or {}).get("data") or {} for c in view.cases for record in c.records
    ]
    names = dict.fromkeys(str(d.get("name")) for d in data if d.get("stand_in"))
    return (
        f" Data: {', '.join(names)}, a stand-in: not comparable with published bits per dim."
        if names
        else ""
    )
