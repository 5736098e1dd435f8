"""All figures draw lines with intervals, levels, seeds and failures alike."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import nan
from typing import Any

from matplotlib.axes import Axes

from report.figures.looks import Look, looks
from report.reading.cases import CaseResult, tokens_at_once
from report.reading.judged import Judged, scores_of
from report.reading.measures import MEASURES
from report.reading.series import USUAL_PRECISION, Series, View
from report.statistics.estimates import Estimate
from report.text import STATUS_TEXT, length_text, plural

Value = Callable[[CaseResult], Estimate | None]
THICK: Mapping[str, Any] = {"linewidth": 1.8, "markersize": 6}
THIN: Mapping[str, Any] = {"linewidth": 0.8, "markersize": 3.5}
# Where a horizontal line begins, has its markers, and ends, as shares of the width.
LEVEL_ENDS = (0.0, 0.02, 0.98, 1.0)


def draw_lines(
    axes: Axes, view: View, value: Value, thin: bool = False, spread: bool = False
) -> list[float]:
    """Draw each line of a suite with its intervals, and levels as horizontal lines.

    Returns the values drawn, to set the axis by. thin: thin lines, which the legend leaves out, for
    a second reading of the same. spread: shift lines a little sideways, so that bars do not cover
    each other.
    """
    seen: list[float] = []
    for series, look, place in placed(view):
        found = [(x, e) for x, case in series.points if (e := value(case)) is not None]
        drawing = {**look.style, **(THIN if thin else {**THICK, "label": series.name})}
        seen += [y for _, e in found for y in (e.value, e.low, e.high) if y == y]
        if not series.on_axis:
            draw_levels(axes, [e for _, e in found], drawing)
            continue
        drawn = with_gaps(series, value)
        xs = [shifted(x, place, view) if spread else x for x, _ in drawn]
        if found:
            axes.errorbar(
                xs,
                [e.value for _, e in drawn],
                yerr=error_bars([e for _, e in drawn]),
                capsize=3,
                **drawing,
            )
    return seen


def with_gaps(series: Series, value: Value) -> list[tuple[float, Estimate]]:
    """Return (x, value) of a line, nan where a case failed or is missing: no line crosses it."""
    found = [(x, value(case), case) for x, case in series.points]
    gap = Estimate(nan)
    return [(x, e or gap) for x, e, case in found if e is not None or case.failure[0]]


def draw_levels(axes: Axes, found: Sequence[Estimate], drawing: Mapping[str, Any]) -> None:
    """Draw cases to which the x axis does not apply as horizontal lines, named once.

    Their intervals are bands, their markers stand at both ends. drawing: how lines are drawn.
    """
    for i, estimate in enumerate(found):
        axes.plot(
            LEVEL_ENDS,
            [estimate.value] * len(LEVEL_ENDS),
            markevery=slice(1, -1),
            transform=axes.get_yaxis_transform(),
            **{**drawing, "label": drawing.get("label") if i == 0 else None},
        )
        if estimate.has_interval:
            colour = drawing["color"]
            axes.axhspan(estimate.low, estimate.high, color=colour, alpha=0.15, linewidth=0)


def placed(view: View) -> list[tuple[Series, Look, int]]:
    """Return the lines with their looks and their places among those that x applies to."""
    before = accumulate((one.on_axis for one in view.series), initial=0)
    return list(zip(view.series, looks(view.series), before, strict=False))


def shifted(x: float, place: float, view: View) -> float:
    """Move x sideways by a fiftieth of the axis at most, its own way for each line."""
    count = sum(one.on_axis for one in view.series) or 1
    share = 0.04 * ((place + 0.5) / count - 0.5)
    span = view.x_values[-1] / view.x_values[0] if view.x_values[0] > 0 else 1.0
    if view.log_x and span > 1:
        return float(x * span**share)
    return x + share * (view.x_values[-1] - view.x_values[0])


def draw_seeds(axes: Axes, view: View, judged: Judged) -> list[float]:
    """Draw each seed's score as a small dot, and return the values drawn."""
    seen = []
    for series, look, place in placed(view):
        for x, case in series.points:
            values = list(scores_of(case, judged).values())
            seen += values
            if series.on_axis and len(values) > 1:
                at = [shifted(x, place + 0.35, view)] * len(values)
                axes.plot(at, values, ".", color=look.colour, markersize=4, alpha=0.7)
    return seen


def draw_failures(axes: Axes, view: View, measure: str) -> None:
    """Draw a row at the top for each line with failures: a cross where each happened.

    The row says what the first one was.
    """
    rows = [
        (s, look.colour, failed)
        for s, look in zip(view.series, looks(view.series), strict=True)
        if (failed := failed_points(s, measure))
    ]
    if not rows:
        return
    make_room(axes, 0.06 * len(rows) + 0.02)
    for i, (series, colour, failed) in enumerate(rows):
        height = 0.97 - 0.06 * i
        x = failed[0][0]
        is_wide = axes.bbox.width > 0.5 * axes.figure.bbox.width
        label = failure_text(failed, series.on_axis and is_wide)
        label = f"{series.name}: {label}" if is_wide or not series.on_axis else label
        if not series.on_axis:
            axes.text(
                0.98,
                height,
                label,
                color=colour,
                fontsize=8,
                ha="right",
                va="center",
                transform=axes.transAxes,
            )
            continue
        transform = axes.get_xaxis_transform()
        axes.plot(
            [x for x, _ in failed],
            [height] * len(failed),
            "X",
            color=colour,
            markersize=8,
            transform=transform,
            clip_on=False,
        )
        in_right_half = axes.transData.transform((x, 0))[0] > axes.bbox.x0 + 0.5 * axes.bbox.width
        last = failed[-1][0] if not in_right_half else x
        axes.annotate(
            label,
            (last, height),
            xycoords=transform,
            xytext=(-8 if in_right_half else 8, 0),
            textcoords="offset points",
            ha="right" if in_right_half else "left",
            va="center",
            fontsize=8,
            color=colour,
        )


def failure_text(failed: Sequence[tuple[float, str]], with_x: bool) -> str:
    """Say what happened and from where on: "crashed at 4K, out of memory at 8K"."""
    first: dict[str, float] = {}
    for x, what in failed:
        first.setdefault(what, x)
    return ", ".join(f"{what} at {length_text(x)}" if with_x else what for what, x in first.items())


def make_room(axes: Axes, share: float) -> None:
    """Raise the top of the y axis so that `share` of the height is free above the data."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        axes.set_ylim(low, high * (high / low) ** (share / (1 - share)))
    else:
        axes.set_ylim(low, high + (high - low) * share / (1 - share))


def failed_points(series: Series, measure: str) -> list[tuple[float, str]]:
    """Return (x, what happened) of the cases that were to measure this and could not.

    They ascend in x.
    """
    found = []
    for x, case in series.points:
        status, _ = case.failure
        wanted = measure in (case.settings.get("measures") or (measure,))
        if status and wanted and MEASURES[measure](case) is None:
            found.append((x, STATUS_TEXT.get(status, status)))
    return found


def subject_of(view: View) -> str:
    """Return what a suite measures one of: "attention call" or "training step"."""
    attention = all(case.settings.get("subject") == "attention" for case in view.cases)
    return "attention call" if attention else "training step"


def call_sizes_text(view: View) -> str:
    """Tell the sizes of an attention call, as far as all cases share them; "" of training steps."""
    if subject_of(view) != "attention call":
        return ""
    found = [case.settings for case in view.cases]
    batches, tokens = {s["batch"] for s in found}, set(map(tokens_at_once, found))
    if len(tokens) == 1:
        told = [f"{tokens.pop():,} tokens a call{' at every length' if len(batches) > 1 else ''}"]
    else:
        told = [f"{plural(batches.pop(), 'sequence')} a call"] if len(batches) == 1 else []
    heads = {(s["n_heads"], s["d_model"] // s["n_heads"]) for s in found}
    told += [f"{n} heads x {width}" for n, width in heads if len(heads) == 1]
    chunks = {case.settings["chunk_length"] for case in view.cases if case.kind == "reformer"}
    told += [f"chunks of {chunk}" for chunk in chunks if len(chunks) == 1]
    precisions = {str(s.get("precision", USUAL_PRECISION)) for s in found}
    mixed = f"{USUAL_PRECISION} unless named otherwise"
    told += ["causal", mixed if len(precisions) > 1 else precisions.pop()]
    return f"{', '.join(told)}."


def error_bars(found: Sequence[Estimate]) -> list[list[float]]:
    """Return how far error bars reach down and up; 0 where there is no interval."""
    down = [max(0.0, e.value - e.low) if e.has_interval else 0.0 for e in found]
    return [down, [max(0.0, e.high - e.value) if e.has_interval else 0.0 for e in found]]
