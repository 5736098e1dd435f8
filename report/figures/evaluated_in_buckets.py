"""This figure draws trained models by the size of the buckets that they were trained with.

A panel is a row of the paper's Table 2, its categories are the table's columns of hash rounds.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from matplotlib.axes import Axes

from report import paper
from report.figures.evaluated_with import accuracy_axis, draw_case
from report.figures.looks import looks
from report.figures.style import GREY, add_words, new_figure, save
from report.reading.cases import CaseResult
from report.reading.series import View, level
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
    trained_name,
)

# How far the markers of a category lie apart, all in all, of the distance between categories.
SPREAD = 0.3


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
    figure.subplots_adjust(right=0.98, wspace=0.12)
    lines = [level(trained_name(case, cases), case) for case in cases]
    look = dict(zip([case.id for case in cases], looks(lines), strict=True))
    for axes, (row, alike) in zip(all_axes, panels, strict=True):
        for i, case in enumerate(alike):
            shift = SPREAD * ((i + 0.5) / len(alike) - 0.5)
            name = f"buckets of {bucket_of(case):g}"
            draw_case(axes, case, columns, shift, (*look[case.id], name))
        values = papers_values(row, columns)
        places = [columns.index(column) for column in values]
        numbers = list(values.values())
        axes.scatter(places, numbers, 90, edgecolors=GREY, facecolors="none", label=paper.NAME)
        name_panel(axes, f"trained with {row}", columns)
    for axes in all_axes[1:]:
        axes.tick_params(labelleft=False)
    all_axes[0].set_ylabel("accuracy (%)")
    add_words(figure, buckets_finding(cases), view.caption)
    return save(figure, folder, f"{view.name}_evaluated_with")


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
    """Say how often models of the fewest rounds are right, by the size of their buckets.

    Of the fewest that were trained and evaluated with several sizes; "" if there are none.
    """
    found: dict[int, dict[int, float]] = {}  # by rounds and size
    for case in cases:
        if case.kind != "reformer" or is_across(case.settings):
            continue
        n_rounds, size = case.settings["n_rounds"], case.settings["bucket_size"]
        estimate = evaluated_value(case, str(n_rounds), "accuracy")
        if estimate is not None:
            found.setdefault(n_rounds, {})[size] = estimate.value
    several = [n_rounds for n_rounds, by_size in found.items() if len(by_size) > 1]
    if not several:
        return ""
    row = f"LSH-{min(several)}"
    words = [f"{v:.1f} % with buckets of {size}" for size, v in sorted(found[min(several)].items())]
    told = papers_values(row, [str(min(several))]).values() if is_papers_task(cases) else ()
    in_the_paper = "".join(f" (in the paper {value} %)" for value in told)
    return f"Trained and evaluated with {row}, right are {', '.join(words)}{in_the_paper}"
