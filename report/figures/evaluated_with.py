"""This figure draws trained models by the attention that they are evaluated with.

Its shape is that of the paper's Table 2: categories, in the order of the table's columns.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes

from report import paper
from report.figures.drawing import error_bars
from report.figures.looks import Look, looks
from report.figures.style import GREY, PAPERS, add_legend, add_words, new_figure, save
from report.reading.cases import CaseResult
from report.reading.judged import ACCURACY, Judged, judged_of, judged_together
from report.reading.series import View, level
from report.statistics.seeds import is_different
from report.tables.evaluated_with_table import (
    all_columns,
    block_of,
    column_name,
    columns_of,
    evaluated_cases,
    evaluated_scores,
    evaluated_value,
    is_across,
    is_papers_task,
    papers_row,
    papers_values,
    trained_name,
)

# How far the markers of a category lie apart, all in all, of the distance between categories.
SPREAD = 0.56


def draw_evaluated_with(view: View, folder: Path) -> list[Path]:
    """Draw a line per trained model, broken between kinds of attention, and the paper's numbers.

    What was trained across buckets has a panel of its own, below.
    """
    cases = evaluated_cases(view.cases)
    columns = all_columns(cases)
    rows = [[case for case in cases if is_across(case.settings) is way] for way in (False, True)]
    rows = [row for row in rows if row]
    figure, panels = new_figure(1, 2.0 + 2.8 * len(rows), len(rows))
    figure.subplots_adjust(hspace=0.45)
    for axes, row in zip(panels, rows, strict=True):
        draw_row(axes, row, cases, columns)
    panels[-1].set_xlabel("evaluated with")
    add_legend(figure, *panels)
    shape = f"{paper.TABLE_2_SOURCE.split(':')[0]} of {paper.NAME} in shape."
    add_words(figure, evaluated_finding(cases), f"{view.caption} {shape}")
    return save(figure, folder, f"{view.name}_evaluated_with")


def draw_row(
    axes: Axes, row: Sequence[CaseResult], cases: Sequence[CaseResult], columns: Sequence[str]
) -> None:
    """Draw the trained models of a panel among all of the figure."""
    compared: set[str] = set()  # rows of the paper that are drawn
    lines = [level(trained_name(case, cases), case) for case in row]
    for i, (case, look) in enumerate(zip(row, looks(lines), strict=True)):
        shift = SPREAD * ((i + 0.5) / len(row) - 0.5)
        draw_case(axes, case, columns, shift, look, f"trained with {lines[i].name}")
        name = papers_row(case)
        if not is_papers_task(cases) or name in compared or is_across(case.settings):
            continue
        values = papers_values(name, columns)
        xs = [columns.index(column) + shift for column in values]
        axes.plot(xs, list(values.values()), color=look.colour, **PAPERS, marker=look.marker)
        compared |= {name} if values else set()
    if compared:
        axes.plot([], [], color=GREY, marker="o", **PAPERS, label=f"large: {paper.NAME}")
    name_categories(axes, columns)
    judged = judged_together(cases)
    if judged is ACCURACY:
        accuracy_axis(axes)
        axes.set_ylabel("accuracy (%)")  # judged.axis does not fit here
    else:
        axes.set_ylabel(judged.axis)


def accuracy_axis(axes: Axes) -> None:
    """Show accuracies from 0 to 100 %, with room for markers at both ends."""
    axes.set_ylim(-3, 105)
    axes.set_yticks(range(0, 101, 20))


def draw_case(
    axes: Axes,
    case: CaseResult,
    columns: Sequence[str],
    shift: float,
    look: Look,
    label: str,
) -> None:
    """Draw the means of a model with their intervals, a line within each kind of attention."""
    judged = judged_of(case)
    for i, (_, alike) in enumerate(groupby(columns, key=block_of)):
        found = [
            (columns.index(column) + shift, estimate)
            for column in alike
            if (estimate := evaluated_value(case, column, judged)) is not None
        ]
        axes.errorbar(
            [x for x, _ in found],
            [e.value for _, e in found],
            yerr=error_bars([e for _, e in found]),
            **look.style,
            markersize=5,
            linewidth=1.0,
            capsize=2,
            label=None if i else label,
        )


def name_categories(axes: Axes, columns: Sequence[str]) -> None:
    """Name each category below the axis, and each kind of attention above its categories."""
    ticks = [column_name(c).removeprefix("full, ").split(", ")[0] for c in columns]
    ticks = [tick.replace(" ", "\n") for tick in ticks]
    axes.set_xticks(range(len(columns)), ticks, fontsize=8.5 if len(columns) > 6 else None)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.grid(visible=False, axis="x")
    for block, alike in groupby(range(len(columns)), key=lambda at: block_of(columns[at])):
        places = list(alike)
        if places[0]:
            axes.axvline(places[0] - 0.5, color="#BBBBBB", linewidth=0.8)
        axes.text(
            (places[0] + places[-1]) / 2,
            1.02,
            block,
            ha="center",
            va="bottom",
            fontsize=9,
            transform=axes.get_xaxis_transform(),
        )


def evaluated_finding(cases: Sequence[CaseResult]) -> str:
    """Say what evaluating with another attention does.

    On the paper's task it is what full attention makes of a model trained with LSH attention, with
    and without a position's own key; else what costs most, and the best pair.
    """
    judged, columns = judged_together(cases), all_columns(cases)
    lsh = next((c for c in cases if c.kind == "reformer" and not is_across(c.settings)), None)
    if judged is ACCURACY and lsh and {"full", "full standard"} <= set(columns):
        alone, standard = (evaluated_value(lsh, c, judged) for c in ("full", "full standard"))
        if alone and standard:
            in_the_paper = papers_values(papers_row(lsh), columns) if is_papers_task(cases) else {}
            told = in_the_paper.get("full standard")
            return (
                f"Trained with {trained_name(lsh, cases)}, evaluated with full attention: "
                f"{alone.value:.1f} % right where no position attends to itself, "
                f"{standard.value:.1f} % with the standard one"
            ) + (f" (in the paper {told} %)" if told else "")
    costs, best = cost_text(cases, judged, columns), best_text(cases, judged, columns)
    return f"{costs}; {best}" if costs else f"B{best[1:]}"


def cost_text(cases: Sequence[CaseResult], judged: Judged, columns: Sequence[str]) -> str:
    """Say which other number of rounds, or full attention, a model trained with LSH bears worst.

    It is "" where evaluating otherwise than in training makes no model visibly worse.
    """
    sign = -1 if judged.higher_is_better else 1
    losses, seen = [0.0], []
    for case in cases:
        own = evaluated_scores(case, own_column(case), judged)
        for column in columns:
            other = evaluated_scores(case, column, judged)
            if own and other:
                before, after = fmean(own.values()), fmean(other.values())
                losses.append(sign * (after - before))
                if is_different(other, own):
                    seen.append((losses[-1], before, after, case, column))
    if not seen:
        return ""
    loss, before, after, case, column = max(seen, key=lambda one: one[0])
    if loss <= 0:
        return ""
    what = "Another attention than in training costs"
    if block_of(column) == "full attention":
        what = "Full attention after training with LSH costs"
    elif block_of(column) == block_of(own_column(case)):
        is_fewer = int(column.split()[0]) < int(case.settings["n_rounds"])
        what = f"{'Fewer' if is_fewer else 'More'} hash rounds than in training cost"
    return (
        f"{what} {'most' if loss == max(losses) else 'quality'}: {trained_name(case, cases)} goes "
        f"from {before:.{judged.decimals}f} to {judged.text(after)} with {column_name(column)}"
    )


def own_column(case: CaseResult) -> str:
    """Return the column of the attention that a Reformer was trained with; "" of any other."""
    own = str(case.settings.get("n_rounds", ""))
    found = [column for column, recorded in columns_of(case).items() if recorded == own]
    return found[0] if found and case.kind == "reformer" else ""


def best_text(cases: Sequence[CaseResult], judged: Judged, columns: Sequence[str]) -> str:
    """Name the best pair of training and evaluation, and from which it does not differ visibly."""
    pick = max if judged.higher_is_better else min
    found = [
        (scores, f"trained with {trained_name(case, cases)} and evaluated with {column_name(c)}")
        for case in cases
        for c in columns
        if (scores := evaluated_scores(case, c, judged))
    ]
    best, words = pick(found, key=lambda one: fmean(one[0].values()))
    alike = [w for scores, w in found if scores is not best and not is_different(scores, best)]
    others = alike[0] if len(alike) == 1 else f"{len(alike)} other pairs"
    tied = f", no visible difference from {others}" if alike else ""
    return f"best: {words} ({judged.text(fmean(best.values()))}){tied}"
