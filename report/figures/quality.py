"""This figure draws what models are judged by: held-out bits per dim, or accuracy in %.

Beside it are count models of the same text, or chance.
"""

from collections.abc import Iterable, Mapping
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from report import paper
from report.figures.drawing import draw_failures, draw_lines, draw_seeds, failed_points
from report.figures.looks import looks
from report.figures.style import (
    GREY,
    PAPERS,
    add_legend,
    add_words,
    new_figure,
    possible_ticks,
    save,
    x_axis,
)
from report.findings import suite_finding
from report.reading.captions import stand_in_text
from report.reading.judged import ACCURACY, Judged, judged_together, score_of
from report.reading.series import View
from report.tables.evaluated_with_table import is_papers_task, papers_row, papers_values
from report.text import any_of_text
from suites.engine.store.records import part_of

CLOSE = 0.05  # references nearer than this share of the axis are named together


def draw_quality(view: View, folder: Path) -> list[Path]:
    """Draw the score of each case with its interval, seeds as dots, and trivial models."""
    judged = judged_together(view.cases)
    figure, (axes,) = new_figure()
    at = {x for s in view.series if s.on_axis for x, case in s.points if case.quality()}
    at |= {x for s in view.series if s.on_axis for x, _ in failed_points(s, "quality")}
    x_axis(axes, view, sorted(at))
    seen = draw_lines(axes, view, lambda case: score_of(case, judged), spread=True)
    seen += draw_seeds(axes, view, judged)
    seen += draw_papers_diagonal(axes, view)
    if seen:
        margin = 0.15 * (max(seen) - min(seen)) or 0.1
        high = max(seen) + margin
        axes.set_ylim(min(seen) - margin, min(high, 105) if judged is ACCURACY else high)
        draw_references(axes, references_of(view, judged), min(seen))
    axes.set_ylabel(judged.axis)
    draw_failures(axes, view, "quality")
    if judged is ACCURACY:
        axes.set_ylim(bottom=max(axes.get_ylim()[0], -5))
        possible_ticks(axes.yaxis)
    add_legend(figure, axes)
    words = f"{view.caption} {quality_note(view, 'Dots: seeds; bars')}"
    add_words(figure, suite_finding(view, "quality"), words)
    return save(figure, folder, f"{view.name}_quality")


def draw_papers_diagonal(axes: Axes, view: View) -> list[float]:
    """Draw what Table 2 of the paper says of models evaluated as they were trained, on its task.

    These are circles over hash rounds. Over what the table does not tell they are dotted lines, in
    the colours of ours. Returns the values drawn.
    """
    found: set[float] = set()
    papers_task = is_papers_task(view.cases)
    for series, look in zip(view.series, looks(view.series), strict=True):
        for x, case in series.points if papers_task and series.kind == "reformer" else ():
            told = papers_values(papers_row(case), [str(case.settings["n_rounds"])])
            for value in {*told.values()} - found:
                if view.varies == "n_rounds":
                    axes.plot([x], [value], color=GREY, marker="o", **PAPERS)
                else:
                    axes.axhline(value, color=look.colour, linestyle=(0, (1, 2.5)), linewidth=1.5)
                found.add(value)
    if found and view.varies == "n_rounds":
        axes.plot([], [], color=GREY, marker="o", **PAPERS, label=paper.NAME)
    elif found:
        label = f"dots: {paper.NAME}, which does not tell its {view.varies.replace('_', ' ')}"
        axes.plot([], [], color=GREY, linestyle=(0, (1, 2.5)), label=label)
    return list(found)


def quality_note(view: View, marks: str = "Bars") -> str:
    """Say after how many steps models were judged, on which data, and what the bars are.

    marks: what is named before "95 % intervals".
    """
    trained = [case for case in view.cases if case.quality()]
    seeds = {len(case.quality()) for case in trained}
    told = [steps_text(case.settings for case in trained)] if trained else []
    if seeds == {1}:
        told.append("One seed: no interval.")
    else:
        told.append(f"{marks}: 95 % intervals over seeds (Student's t).")
        told.append("Differences in the title are paired over seeds.")
        told += ["Cases of one seed have no interval."] if 1 in seeds else []
    told.append(stand_in_text(record for case in view.cases for record in case.records))
    return " ".join(filter(None, told))


def steps_text(trained: Iterable[Mapping[str, Any]]) -> str:
    """Say after how many training steps, and how many of them were on short windows."""
    found = [
        (s["train_steps"], s.get("first_steps") or 0, s.get("first_length") or 0) for s in trained
    ]
    all_steps = any_of_text(sorted({steps for steps, _, _ in found}))
    if not any(short for _, short, _ in found):
        return f"After {all_steps} training steps."
    whole = any_of_text(sorted({steps - short for steps, short, _ in found}))
    lengths = any_of_text(sorted({length for _, short, length in found if short}))
    return f"After {all_steps} training steps, the last {whole} on more than {lengths} tokens."


def references_of(view: View, judged: Judged) -> dict[str, float]:
    """Return what trivial models reach, by name: count models, or a uniform guess.

    Records have their bits; of tasks that are judged by accuracy, those of uniform guesses alone.
    """
    found: dict[str, float] = {}
    for case in view.cases:
        for record in case.records:
            data = part_of(record, "quality").get("data") or {}
            found |= data.get("reference") or {}
    if judged.name == "accuracy":
        return {name: judged.scale * 2**-bits for name, bits in found.items()}
    return found


def draw_references(axes: Axes, found: Mapping[str, float], lowest: float) -> None:
    """Draw trivial models as dotted lines, or name them in the legend if they are far off.

    Drawn all, they would squeeze the lines. lowest: of what else is drawn; the name of what lies
    below stands under its line, where no bar crosses it.
    """
    low, high = axes.get_ylim()
    room = high - low
    near = [v for v in found.values() if low - room <= v <= high + room]
    low, high = (
        min([low, *(v - 0.12 * room for v in near)]),
        max([high, *(v + 0.08 * room for v in near)]),
    )
    axes.set_ylim(low, high)
    off, drawn, top = [], "", -inf
    for name, value in sorted(found.items(), key=lambda item: item[1]):
        if not low <= value <= high:
            off.append(f"{name}: {value:.2f} ({'above' if value > high else 'below'})")
            continue
        text = f"count model, {name}: {value:.2f}" if "order" in name else f"{name}: {value:.2f}"
        is_close = value - top < CLOSE * (high - low)
        if is_close:  # one text for both, above the upper line
            axes.texts[-1].remove()
            text = f"{drawn}; {text}"
        side = side_with_room(axes, value)
        axes.axhline(value, color=GREY, linestyle=":", linewidth=1.3)
        is_lowest = value < lowest and not is_close
        axes.annotate(
            text,
            (0.01 if side == "left" else 0.99, value),
            xycoords=axes.get_yaxis_transform(),
            ha=side,
            va="top" if is_lowest else "bottom",
            xytext=(0, -2 if is_lowest else 2),
            textcoords="offset points",
            fontsize=8.5,
            color=GREY,
        )
        drawn, top = text, value
    if off:
        axes.plot([], [], ":", color=GREY, label="off the axis: " + ", ".join(off))


def side_with_room(axes: Axes, value: float) -> str:
    """Return "left" or "right": where the ends of the lines are further from a value."""
    drawn = [np.asarray(line.get_ydata(), float) for line in axes.get_lines()]
    room = [
        min((abs(ys[end] - value) for ys in drawn if len(ys) > 1), default=0.0) for end in (0, -1)
    ]
    return "left" if room[0] >= room[1] else "right"
