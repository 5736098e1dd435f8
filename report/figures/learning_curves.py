"""This figure draws held-out bits per dim against training steps (paper, Figures 3 to 5 left)."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from report.figures.style import MARKERS, add_legend, add_words, new_figure, save
from report.reading.cases import CaseResult
from report.reading.series import View
from suites.engine.store.records import part_of

MAX_LINES = 10


def learning_curves(case: CaseResult) -> list[tuple[list[float], list[float]]]:
    """Return (steps, bits per dim) per seed, where more than two points were measured."""
    curves = [part_of(record, "quality").get("curve") or [] for record in case.records]
    return [([p[0] for p in c], [p[1] for p in c]) for c in curves if len(c) > 2]


def draw_learning_curves(view: View, folder: Path) -> list[Path]:
    """Draw a learning curve per case, in up to three panels by x if there are many."""
    cases = [case for case in view.cases if learning_curves(case)]
    panels: dict[str, list[tuple[str, CaseResult]]] = {}
    by_x = len(cases) > MAX_LINES
    for series in view.series:
        for x, case in series.points:
            if learning_curves(case):
                where = view.x_text(x) if series.on_axis else ""
                at = where if by_x else ""
                name = ", ".join(part for part in (series.name, where) if part and part != at)
                panels.setdefault(at, []).append((name, case))
    shown = (
        list(panels)[:3]
        if len(panels) <= 3
        else [list(panels)[i] for i in (0, len(panels) // 2, -1)]
    )
    figure, axes = new_figure(len(shown))
    names = list(dict.fromkeys(name for at in shown for name, _ in panels[at]))
    ramp = matplotlib.colormaps["viridis"]
    colours = [
        matplotlib.colors.to_hex(ramp(0.9 * i / max(len(names) - 1, 1))) for i in range(len(names))
    ]
    handles: dict[str, object] = {}
    for one, at in zip(axes, shown, strict=True):
        for name, case in panels[at]:
            colour = colours[names.index(name)]
            for steps, values in learning_curves(case):
                one.plot(steps, values, color=colour, linewidth=0.7, alpha=0.4)
            steps, mean = mean_curve(case)
            (handles[name],) = one.plot(
                steps,
                mean,
                color=colour,
                linewidth=2,
                marker=MARKERS[names.index(name) % 8],
                markersize=4,
            )
        one.set_title(at, fontsize=10)
        one.set_xlabel("training steps")
    axes[0].set_ylabel("held-out bits per dim")
    for name in names:
        axes[0].plot(
            [],
            [],
            color=colours[names.index(name)],
            marker=MARKERS[names.index(name) % 8],
            label=name,
        )
    add_legend(figure, axes[0])
    add_words(
        figure,
        curve_finding(cases, names_by_case(panels)),
        f"{view.caption} Thin: seeds; thick: their mean.",
    )
    return save(figure, folder, f"{view.name}_curves")


def names_by_case(panels: dict[str, list[tuple[str, CaseResult]]]) -> dict[int, str]:
    """Map the identity of each case to its name, with the panel where there are several."""
    return {
        id(case): f"{name}, {at}" if at else name
        for at, found in panels.items()
        for name, case in found
    }


def mean_curve(case: CaseResult) -> tuple[list[float], list[float]]:
    """Return the steps that all seeds share, and the mean of their bits per dim."""
    curves = [dict(zip(steps, values, strict=True)) for steps, values in learning_curves(case)]
    steps = sorted(set.intersection(*(set(curve) for curve in curves)))
    return steps, [float(np.mean([curve[step] for curve in curves])) for step in steps]


def curve_finding(cases: Sequence[CaseResult], names: dict[int, str]) -> str:
    """Say which model ends lowest, and what the last quarter of its training gained."""
    ends = [(mean_curve(case)[1][-1], names[id(case)], case) for case in cases]
    value, name, case = min(ends, key=lambda end: end[0])
    steps, curve = mean_curve(case)
    quarter = next(v for s, v in zip(steps, curve, strict=True) if s >= 0.75 * steps[-1])
    return (
        f"Lowest after {steps[-1]:,} steps: {name} ({value:.3f} bits per dim); "
        f"its last quarter of training gained {quarter - value:.3f}"
    )
