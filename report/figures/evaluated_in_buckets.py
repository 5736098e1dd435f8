"""This figure draws trained models by the size of the buckets that they were trained with.

A panel is a row of the paper's Table 2, its categories are the table's columns of hash rounds.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from matplotlib.axes import Axes

from report import paper
from report.figures.evaluated_with import accuracy_axis, draw_case
from report.figures.looks import OF_SIZES, Look, look_of_case
from report.figures.style import GREY, add_words, new_figure, save
from report.reading.cases import CaseResult
from report.reading.judged import ACCURACY
from report.reading.series import View
from report.tables.evaluated_with_table import (
    all_columns,
    block_of,
    bucket_of,
    column_name,
    evaluated_cases,
    evaluated_value,
    is_across,
    is_papers_task,
    papers_row,
    papers_values,
)

# How far the markers of a category lie apart, all in all, of the distance between categories.
SPREAD = 0.3
LINES = ("-", "--", ":", "-.")  # of sizes


def has_bucket_sizes(view: View) -> bool:
    """Is it the paper's task, with the same model in buckets of several sizes?"""
    cases = evaluated_cases(view.cases)
    return is_papers_task(cases) and bool(buckets_finding(cases))


def draw_evaluated_in_buckets(view: View, folder: Path) -> list[Path]:
    """Draw a panel per row of Table 2, with a line per bucket size and the paper's numbers."""
    cases = [case for case in evaluated_cases(view.cases) if not is_across(case.settings)]
    columns = [column for column in all_columns(cases) if block_of(column) == "LSH attention"]
    panels = [(row, list(alike)) for row, alike in groupby(cases, key=papers_row)]
    figure, all_axes = new_figure(len(panels))
    figure.subplots_adjust(right=0.98, wspace=0.12, top=0.78)
    sizes = sorted({bucket_of(case) for case in cases}, reverse=True)
    for axes, (row, alike) in zip(all_axes, panels, strict=True):
        for i, case in enumerate(alike):
            shift = SPREAD * ((i + 0.5) / len(alike) - 0.5)
            name = f"buckets of {bucket_of(case):g}"
            draw_case(axes, case, columns, shift, look_of_size(case, sizes), name)
        values = papers_values(row, columns)
        places = [columns.index(column) for column in values]
        numbers = list(values.values())
        axes.scatter(places, numbers, 90, edgecolors=GREY, facecolors="none", label=paper.NAME)
        alone = "\n(buckets in evaluation alone)" if row == "full" else ""
        name_panel(axes, f"trained with {row}{alone}", columns)
    for axes in all_axes[1:]:
        axes.tick_params(labelleft=False)
    all_axes[0].set_ylabel("accuracy (%)")
    add_words(figure, buckets_finding(cases), view.caption)
    return save(figure, folder, f"{view.name}_evaluated_with")


def look_of_size(case: CaseResult, sizes: Sequence[float]) -> Look:
    """Return the look of a model, whose marker and broken line tell the size of its buckets."""
    place = sizes.index(bucket_of(case))
    line, marker = LINES[place % len(LINES)], OF_SIZES[place % len(OF_SIZES)]
    return look_of_case(case)._replace(marker=marker, line=line, fill="full")


def name_panel(axes: Axes, title: str, columns: Sequence[str]) -> None:
    """Name the panel, its categories and its lines."""
    axes.set_title(title, fontsize=10)
    axes.set_xticks(range(len(columns)), [column_name(c) for c in columns], fontsize=8.5)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    accuracy_axis(axes)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("evaluated with")
    axes.legend(fontsize=8)


def buckets_finding(cases: Sequence[CaseResult]) -> str:
    """Say how often models are right with the fewest rounds, by the size of their buckets.

    It is of the models of the fewest and of the most rounds of which there are several sizes, all
    evaluated with the fewest, beside the paper's numbers; "" if there are none.
    """
    ours = [case for case in cases if case.kind == "reformer" and not is_across(case.settings)]
    by_rounds: dict[int, list[CaseResult]] = {}
    for case in sorted(ours, key=lambda one: one.settings["bucket_size"]):
        if evaluated_value(case, str(case.settings["n_rounds"]), ACCURACY):
            by_rounds.setdefault(case.settings["n_rounds"], []).append(case)
    several = sorted(rounds for rounds, found in by_rounds.items() if len(found) > 1)
    if not several:
        return ""
    column, told = str(several[0]), []
    for n_rounds in dict.fromkeys((several[0], several[-1])):
        found = [(c, evaluated_value(c, column, ACCURACY)) for c in by_rounds[n_rounds]]
        values = [(f"buckets of {bucket_of(c):g}", v.value) for c, v in found if v]
        (small, right), *_, (large, before) = values
        text = f"trained with LSH-{n_rounds}, {before:.1f} % right in {large}, "
        text += f"{right:.1f} % in {small}"
        for paper_says in papers_values(f"LSH-{n_rounds}", [column]).values():
            is_nearer = abs(right - paper_says) < abs(before - paper_says)
            text += f" ({'nearer to' if is_nearer else 'further from'} the paper's {paper_says} %)"
        told.append(text)
    return f"Evaluated with LSH-{column}: {'; '.join(told)}"
