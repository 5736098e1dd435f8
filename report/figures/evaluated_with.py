"""This figure draws models trained with so many hash rounds and evaluated with others.

Its shape is that of the paper's Table 2.
"""

from collections.abc import Sequence
from pathlib import Path

from report import paper
from report.figures.drawing import error_bars
from report.figures.style import COLD, MARKERS, WARM, add_legend, add_words, new_figure, save
from report.reading.series import View
from report.tables.evaluated_with_table import (
    evaluated_cases,
    evaluated_rounds,
    evaluated_value,
    rounds_measure,
    trained_name,
)
from report.text import plural


def draw_evaluated_with(view: View, folder: Path) -> list[Path]:
    """Draw a line per trained model over the rounds that it is evaluated with."""
    cases = sorted(evaluated_cases(view.cases), key=lambda c: c.settings.get("n_rounds") or 0)
    name = rounds_measure(cases)
    columns = evaluated_rounds(cases)
    figure, (axes,) = new_figure()
    best: list[tuple[float, str, str]] = []
    for i, case in enumerate(cases):
        found = [(at, e) for at, r in enumerate(columns) if (e := evaluated_value(case, r, name))]
        label = trained_name(case, cases)
        best += [(e.value, label, columns[at]) for at, e in found]
        axes.errorbar(
            [at + 0.03 * (i - (len(cases) - 1) / 2) for at, _ in found],
            [e.value for _, e in found],
            yerr=error_bars([e for _, e in found]),
            color=(*COLD, *WARM)[i % 8],
            marker=MARKERS[i % len(MARKERS)],
            capsize=3,
            label=f"trained with {label}",
        )
    axes.set_xticks(range(len(columns)), ["full" if r == "full" else r for r in columns])
    axes.set_xlabel("evaluated with so many hash rounds, or full attention")
    unit = "accuracy (%)" if name == "accuracy" else "held-out bits per dim (lower is better)"
    axes.set_ylabel(unit)
    add_legend(figure, axes)
    add_words(
        figure,
        evaluated_finding(best, name),
        f"{view.caption} {paper.TABLE_2_SOURCE.split(':')[0]} in shape.",
    )
    return save(figure, folder, f"{view.name}_evaluated_with")


def evaluated_finding(found: Sequence[tuple[float, str, str]], name: str) -> str:
    """Name the best and the worst pair of rounds trained with and evaluated with.

    `found` holds (value, name of the trained model, rounds evaluated with).
    """
    best, worst = (max(found), min(found)) if name == "accuracy" else (min(found), max(found))
    unit = " %" if name == "accuracy" else " bits per dim"

    def words(entry: tuple[float, str, str]) -> str:
        value, trained, rounds = entry
        digits = 1 if name == "accuracy" else 3
        evaluated = "full attention" if rounds == "full" else plural(int(rounds), "round")
        return f"trained with {trained} and evaluated with {evaluated} ({value:.{digits}f}{unit})"

    return f"Best: {words(best)}; worst: {words(worst)}"
