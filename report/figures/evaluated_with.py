"""Models trained with so many hash rounds, evaluated with others (the shape of the paper's Table
2).
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from report import paper
from report.figures.style import COLD, MARKERS, WARM, add_legend, add_words, new_figure, save
from report.reading.cases import CaseResult
from report.reading.series import View, distinguishing, phrase
from report.statistics.estimates import Estimate
from report.statistics.seeds import mean_over_seeds
from report.text import interval_text, plural


def evaluated_cases(cases: Sequence[CaseResult]) -> list[CaseResult]:
    """The cases that were also evaluated with other numbers of rounds."""
    return [case for case in cases if evaluations(case)]


def evaluations(case: CaseResult) -> list[str]:
    """The numbers of rounds a case was evaluated with, ascending, "full" last."""
    names = {
        name
        for record in case.records
        for name in (record.get("quality") or {}).get("evaluated_with") or {}
    }
    return sorted(names, key=lambda name: (name == "full", int(name) if name.isdigit() else 0))


def rounds_measure(cases: Sequence[CaseResult]) -> str:
    """What such a table shows: accuracy on the paper's task (Table 2), bits per dim on others."""
    tasks = {case.settings.get("task") for case in cases}
    return "accuracy" if tasks == {"duplication"} else "bits_per_dim"


def evaluated_value(case: CaseResult, rounds: str, name: str) -> Estimate | None:
    """Mean over seeds as evaluated with so many rounds; accuracy in %."""
    scale = 100 if name == "accuracy" else 1
    values = [scale * v for v in case.quality(name, rounds).values()]
    return mean_over_seeds(values) if values else None


def rounds_table(cases: Sequence[CaseResult]) -> pd.DataFrame:
    """Rows trained with, columns evaluated with: the shape of the paper's Table 2, which follows on
    its task.
    """
    found = evaluated_cases(cases)
    name = rounds_measure(found)
    columns = sorted(
        {r for c in found for r in evaluations(c)}, key=lambda r: (r == "full", r.zfill(4))
    )
    heads = ["full attention" if r == "full" else f"LSH-{r}" for r in columns]
    rows = []
    for case in found:
        cells = [
            interval_text(evaluated_value(case, r, name), 1 if name == "accuracy" else 3)
            for r in columns
        ]
        rows.append([trained_name(case, found), *cells])
    if name == "accuracy":
        for trained, values in paper.TABLE_2.items():
            label = f"{'full' if trained == 'full' else f'LSH-{trained}'} ({paper.NAME})"
            rows.append([label, *(str(values.get(r, "")) for r in columns)])
    unit = "accuracy in %" if name == "accuracy" else "bits per dim"
    return pd.DataFrame(rows, columns=[f"trained with ({unit})", *heads])


def trained_name(case: CaseResult, among: Sequence[CaseResult]) -> str:
    """The rounds it was trained with, and what else tells it from the others."""
    keys = [key for key in distinguishing(among) if key != "n_rounds"]
    rest = [phrase(key, case.settings[key]) for key in keys if key in case.settings]
    return ", ".join([f"LSH-{case.settings.get('n_rounds')}", *rest])


def draw_evaluated_with(view: View, folder: Path) -> list[Path]:
    """A line per model, trained with so many rounds, over the rounds it is evaluated with (paper,
    Table 2).
    """
    cases = sorted(evaluated_cases(view.cases), key=lambda c: c.settings.get("n_rounds") or 0)
    name = rounds_measure(cases)
    columns = sorted(
        {r for c in cases for r in evaluations(c)}, key=lambda r: (r == "full", r.zfill(4))
    )
    figure, (axes,) = new_figure()
    best: list[tuple[float, str, str]] = []
    for i, case in enumerate(cases):
        found = [(at, e) for at, r in enumerate(columns) if (e := evaluated_value(case, r, name))]
        label = trained_name(case, cases)
        best += [(e.value, label, columns[at]) for at, e in found]
        bars = [[(e.high - e.low) / 2 if e.has_interval else 0.0 for _, e in found]]
        axes.errorbar(
            [at + 0.03 * (i - (len(cases) - 1) / 2) for at, _ in found],
            [e.value for _, e in found],
            yerr=bars[0],
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
    """The best and the worst pair of trained and evaluated."""
    best, worst = (max(found), min(found)) if name == "accuracy" else (min(found), max(found))
    unit = " %" if name == "accuracy" else " bits per dim"

    def words(entry: tuple[float, str, str]) -> str:
        value, trained, rounds = entry
        digits = 1 if name == "accuracy" else 3
        evaluated = "full attention" if rounds == "full" else plural(int(rounds), "round")
        return f"trained with {trained} and evaluated with {evaluated} ({value:.{digits}f}{unit})"

    return f"Best: {words(best)}; worst: {words(worst)}"
