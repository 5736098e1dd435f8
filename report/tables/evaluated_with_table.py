"""Models trained with so many hash rounds are evaluated with others, as in Table 2."""

from collections.abc import Sequence

import pandas as pd

from report import paper
from report.reading.cases import CaseResult
from report.reading.series import distinguishing
from report.statistics.estimates import Estimate
from report.statistics.seeds import mean_over_seeds
from report.text import interval_text
from suites.engine.store.records import part_of
from suites.labels import phrases


def evaluated_cases(cases: Sequence[CaseResult]) -> list[CaseResult]:
    """Return the cases that were also evaluated with other numbers of rounds."""
    return [case for case in cases if evaluated_rounds([case])]


def are_evaluated(cases: Sequence[CaseResult]) -> bool:
    """Was every trained Reformer of a suite evaluated with other numbers of rounds?

    Some are, where a suite shares a case with another one that asks for it: that is no finding.
    """
    trained = [case for case in cases if case.kind == "reformer" and case.quality()]
    return bool(trained) and len(evaluated_cases(trained)) == len(trained)


def evaluated_rounds(cases: Sequence[CaseResult]) -> list[str]:
    """Return the numbers of rounds that cases were evaluated with, ascending, "full" last."""
    names = {
        name
        for case in cases
        for record in case.records
        for name in part_of(record, "quality").get("evaluated_with") or {}
    }
    return sorted(names, key=lambda name: (name == "full", int(name) if name.isdigit() else 0))


def rounds_measure(cases: Sequence[CaseResult]) -> str:
    """Choose what the table shows: "accuracy" on the paper's task, "bits_per_dim" on others."""
    tasks = {case.settings.get("task") for case in cases}
    return "accuracy" if tasks == {"duplication"} else "bits_per_dim"


def evaluated_value(case: CaseResult, rounds: str, name: str) -> Estimate | None:
    """Return the mean over seeds as evaluated with so many rounds; accuracy in %."""
    scale = 100 if name == "accuracy" else 1
    values = [scale * v for v in case.quality(name, rounds).values()]
    return mean_over_seeds(values) if values else None


def rounds_table(cases: Sequence[CaseResult]) -> pd.DataFrame:
    """Return a table with a row per trained model and a column per rounds evaluated with.

    On the paper's task, the rows of its Table 2 follow.
    """
    found = sorted(evaluated_cases(cases), key=lambda case: case.settings.get("n_rounds") or 0)
    name = rounds_measure(found)
    columns = evaluated_rounds(found)
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
    """Name the rounds a case was trained with, and what else tells it from the others."""
    keys = [key for key in distinguishing(among) if key != "n_rounds"]
    rounds = case.settings.get("n_rounds")
    return ", ".join([f"LSH-{rounds}", *phrases(case.settings, keys)])
