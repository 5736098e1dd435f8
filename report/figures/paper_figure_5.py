"""This figure draws attention alone over the length beside the paper's Figure 5 (right).

The number of tokens is constant, so the batch shrinks as the length grows.
"""

from pathlib import Path

from matplotlib.axes import Axes

from report import paper
from report.figures.drawing import call_sizes_text, draw_failures, draw_lines
from report.figures.looks import DENSE, LSH
from report.figures.style import (
    add_legend,
    add_words,
    new_figure,
    save,
    tick_unit,
    x_axis,
    y_axis,
)
from report.reading.cases import CaseResult
from report.reading.differences import time_ratio
from report.reading.rivals import (
    common_points,
    crossover_of,
    plain_name,
    rivals_of,
    way_text,
)
from report.reading.series import View
from report.statistics.estimates import Estimate
from report.text import length_text, speed_text

# For the names right of the curves, in doublings of the length.
ROOM = 2.0


def draw_paper_figure_5(view: View, folder: Path) -> list[Path]:
    """Draw seconds per attention evaluation by length, beside the paper's curves."""
    figure, (ours, theirs) = new_figure(2)
    x_axis(ours, view)
    seconds = [*draw_lines(ours, view, forward_time), *draw_published_curves(theirs)]
    for axes, unit in ((ours, "seconds per attention evaluation"), (theirs, "")):
        y_axis(axes, seconds, always_log=True)
        tick_unit(axes, unit)
    ours.set_title("this run", fontsize=10)
    draw_failures(ours, view, "time")
    theirs.set_ylim(ours.get_ylim())  # failures may have raised it
    add_legend(figure, ours)
    caption = (
        f"{view.caption} {call_sizes_text(view)} Bars: 95 % intervals. "
        f"{paper.NAME}, {paper.FIGURE_5_SOURCE}, on hardware that it does not name."
    )
    add_words(figure, attention_finding(view), caption)
    return save(figure, folder, f"{view.name}_paper")


def forward_time(case: CaseResult) -> Estimate | None:
    """Return the time of the forward pass in seconds with its interval, if it was timed."""
    time = case.time("forward")
    return time and time.divided_by(1e3)


def forward_s(case: CaseResult) -> float | None:
    """Return the time of the forward pass in seconds, if it was timed."""
    time = forward_time(case)
    return time.value if time else None


def draw_published_curves(axes: Axes) -> list[float]:
    """Draw the paper's curves, named right of their ends, and return all their seconds.

    They have the looks of our variants, whether or not these were measured; full attention has that
    of our twin of it.
    """
    for name, seconds in paper.FIGURE_5_SECONDS.items():
        is_lsh = name.startswith("LSH-")
        look = LSH[int(name.removeprefix("LSH-"))] if is_lsh else DENSE["memory_efficient"]
        axes.plot(paper.FIGURE_5_LENGTHS, seconds, **look.style)
        axes.annotate(
            name,
            (paper.FIGURE_5_LENGTHS[-1], seconds[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            fontsize=8.5,
            va="center",
            color=look.colour,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(
        paper.FIGURE_5_LENGTHS, [length_text(x) for x in paper.FIGURE_5_LENGTHS], fontsize=9
    )
    axes.set_xlim(paper.FIGURE_5_LENGTHS[0] / 2**0.4, paper.FIGURE_5_LENGTHS[-1] * 2**ROOM)
    axes.set_xlabel("sequence length (tokens), log")
    axes.set_title(paper.NAME, fontsize=10)
    return [s for values in paper.FIGURE_5_SECONDS.values() for s in values]


def attention_finding(view: View) -> str:
    """Say how forward times compare at the longest common length, and where they cross.

    It is the typical Reformer over the typical dense attention.
    """
    found = rivals_of(view.series, "time", forward_s)
    ours, dense = found.ours, found.dense
    common = common_points(ours, dense, forward_s) if ours and dense else []
    if not ours or not dense or not common:
        return "Attention alone, tokens constant"
    x, a, b = common[-1]
    ratio = time_ratio(a, b, "forward")
    assert ratio is not None  # both were measured
    crossing = crossover_of(ours, dense, "forward")
    where = f"; {crossing.phrase()}" if crossing else ""
    way = way_text(ours, [s for s in view.series if any(map(forward_s, s.cases))])
    at = f"{way[0].upper()}{way[1:]}, at" if way else "At"
    return (
        f"{at} {x:,.0f} tokens an evaluation of {plain_name(ours)} {speed_text(ratio)} "
        f"{plain_name(dense)}{where}"
    )
