"""This figure draws what each change of a base does, a row for each: categories, no axis."""

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report.figures.drawing import subject_of
from report.figures.looks import look_of_case
from report.figures.style import DPI, GREY, WIDTH, add_words, save
from report.findings import changes_finding
from report.reading.analyses import mass_met
from report.reading.cases import CaseResult
from report.reading.changes import Change, base_of, changes_of
from report.reading.differences import score_difference, time_ratio
from report.reading.judged import judged_together
from report.reading.series import View, name_by_settings
from report.statistics.estimates import Estimate
from report.text import STATUS_TEXT

NAME_WIDTH = 24  # characters of the name of a change in a line


class Panel(NamedTuple):
    """A panel shows one value of each change beside that of the base."""

    title: str
    value: Callable[[Change], Estimate | None]
    of_base: Callable[[CaseResult], float | None]


def draw_changes(view: View, folder: Path) -> list[Path]:
    """Draw bits per dim, time and attention mass of each change, as far as they were measured."""
    base, changes = base_of(view.cases), changes_of(view.cases)
    panels = [p for p in panels_of(view) if any(p.value(change) for change in changes)]
    if not panels:
        return []
    height = 2.4 + 0.3 * len(changes)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)
    found = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    names = [textwrap.fill(change.name, NAME_WIDTH) for change in changes]
    widest = max(len(line) for name in names for line in name.splitlines())
    figure.subplots_adjust(
        left=0.04 + 0.0085 * widest,
        right=0.98,
        top=1 - 0.85 / height,
        bottom=1.25 / height,
        wspace=0.08,
    )
    for axes, panel in zip(found, panels, strict=True):
        draw_panel(axes, panel, base, changes)
    found[0].set_yticks(range(len(changes)), names)
    found[0].set_ylim(len(changes) - 0.5, -0.5)
    caption = (
        f"{view.caption} Base: {name_by_settings(base, ())}, the grey lines. Bars: 95 % intervals, "
        "each for itself: of quality paired over seeds, of times over processes."
    )
    measure = "quality" if any(score_change_of(change) for change in changes) else "time"
    add_words(figure, changes_finding(view, measure), caption)
    return save(figure, folder, f"{view.name}_changes")


def panels_of(view: View) -> list[Panel]:
    """Return what can be shown of a change."""
    judged = judged_together(view.cases)
    return [
        Panel(f"held-out {judged.head},\nless those of the base", score_change_of, lambda _: 0.0),
        Panel(f"time of a {subject_of(view)},\nover that of the base", time_of, lambda _: 1.0),
        Panel("share of the true\nattention met (%)", mass_of, base_mass),
    ]


def score_change_of(change: Change) -> Estimate | None:
    """Return the change in bits per dim or accuracy, paired over seeds."""
    return score_difference(change.case, change.base)


def time_of(change: Change) -> Estimate | None:
    """Return the ratio of the times of a step."""
    return time_ratio(change.case, change.base)


def mass_of(change: Change) -> Estimate | None:
    """Return the share of the true attention that met, in %."""
    return mass_met(change.case)


def base_mass(base: CaseResult) -> float | None:
    """Return the share of the true attention that met with the base, in %."""
    found = mass_met(base)
    return found.value if found else None


def draw_panel(axes: Axes, panel: Panel, base: CaseResult, changes: Sequence[Change]) -> None:
    """Draw a dot with its interval in each row, and the base as a line."""
    start = panel.of_base(base)
    if start is not None:
        axes.axvline(start, color=GREY, linewidth=1.4)
    for row, change in enumerate(changes):
        found, look = panel.value(change), look_of_case(change.case)
        if found is None:
            status = change.case.failure[0]
            words = STATUS_TEXT.get(status, "not measured")
            where = axes.get_yaxis_transform()
            text = axes.text(0.5, row, words, transform=where, fontsize=8.5, color=GREY)
            text.set(ha="center", va="center", backgroundcolor="white")
            continue
        if found.has_interval:
            axes.plot([found.low, found.high], [row, row], color=look.colour, linewidth=1.8)
        axes.plot([found.value], [row], color=look.colour, marker=look.marker, markersize=6)
    axes.set_xlabel(panel.title, fontsize=9.5)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=5)
