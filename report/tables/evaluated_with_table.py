"""Trained models are evaluated with other attention than they were trained with, as in Table 2.

A column is one attention to evaluate with, by its name in suites.evaluations.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from report import paper
from report.reading.cases import CaseResult
from report.reading.judged import ACCURACY, Judged, judged_together, score_of, scores_of
from report.reading.series import distinguishing
from report.statistics.estimates import Estimate
from report.text import interval_text
from suites.engine.store.records import part_of
from suites.evaluations import ACROSS, ACROSS_BUCKETS
from suites.labels import phrases

# Full attention in the order of its columns, and what each means.
FULL = {
    "full standard": ("full, standard", "logits q . q / sqrt(width), up to and with itself"),
    "full with itself": (
        "full, itself too",
        "unit keys as in LSH attention, up to and with itself",
    ),
    "full": (
        "full, not itself",
        "unit keys, and a position attends to itself only where it is alone, as in LSH attention",
    ),
}
LSH_MEANS = "LSH-r: r hash rounds, each position among the keys of its own bucket"
ACROSS_MEANS = (
    f"{ACROSS}: keys of other buckets in the window count too, and a pair that met in several "
    "rounds counts as often (the authors' later code)"
)
# Told in words of their own, or in the column of steps.
IN_THE_NAME = ("attention", "n_rounds", "unit_keys", "attend_self", "train_steps")


def evaluated_cases(cases: Iterable[CaseResult]) -> list[CaseResult]:
    """Return the cases that were also evaluated with another attention, in the order of rows.

    Full attention stands first, then more hash rounds before fewer, large buckets before small.
    """
    return sorted((case for case in cases if columns_of(case)), key=_row_order)


def are_evaluated(cases: Sequence[CaseResult]) -> bool:
    """Was every trained Reformer of a suite evaluated with another attention, and several models?

    Some are, where a suite shares a case with another one that asks for it: that is no finding.
    """
    trained = [case for case in cases if case.kind == "reformer" and case.quality()]
    return len(evaluated_cases(cases)) > 1 and all(columns_of(case) for case in trained)


def columns_of(case: CaseResult) -> dict[str, str]:
    """Return by column under which name the records of a case have it.

    A model that was trained across buckets is so evaluated, whatever the number of rounds.
    """
    names = {
        name: None
        for record in case.records
        for name in part_of(record, "quality").get("evaluated_with") or {}
    }
    across = is_across(case.settings)
    return {f"{name} {ACROSS}" if across and name.isdigit() else name: name for name in names}


def all_columns(cases: Iterable[CaseResult]) -> list[str]:
    """Return the columns of these cases: full attention, LSH from many rounds to few, and across.

    What has an unknown name comes last.
    """
    return sorted({column for case in cases for column in columns_of(case)}, key=_column_order)


def block_of(column: str) -> str:
    """Return what a column is of: "full attention", "LSH attention" or "LSH across buckets"."""
    rounds, _, way = column.partition(" ")
    if not rounds.isdigit():
        return "full attention"
    return f"LSH {way}" if way else "LSH attention"


def column_name(column: str) -> str:
    """Name a column for people, such as "LSH-4, across buckets"."""
    rounds, _, way = column.partition(" ")
    if not rounds.isdigit():
        return FULL[column][0] if column in FULL else column
    return f"LSH-{rounds}, {way}" if way else f"LSH-{rounds}"


def evaluated_scores(case: CaseResult, column: str, judged: Judged) -> dict[int, float]:
    """Return by seed what a column says of a case, empty if nothing."""
    recorded = columns_of(case).get(column)
    return scores_of(case, judged, recorded) if recorded else {}


def evaluated_value(case: CaseResult, column: str, judged: Judged) -> Estimate | None:
    """Return the mean over seeds of a column, None if there is none."""
    recorded = columns_of(case).get(column)
    return score_of(case, judged, recorded) if recorded else None


def rounds_table(cases: Sequence[CaseResult]) -> pd.DataFrame:
    """Return a table with a row per trained model and a column per attention evaluated with.

    On the paper's task the row of its Table 2 stands under those of the same attention. Steps have
    a column where they differ.
    """
    found = evaluated_cases(cases)
    judged, columns = judged_together(found), all_columns(found)
    steps = {case.settings.get("train_steps") for case in found}
    with_steps = len(steps) > 1
    rows = []
    for i, case in enumerate(found):
        values = [evaluated_value(case, column, judged) for column in columns]
        cells = [interval_text(value, judged.decimals) for value in values]
        trained = [f"{case.settings.get('train_steps'):,}"] if with_steps else []
        rows.append([trained_name(case, found), *trained, *cells])
        is_last = i + 1 == len(found) or papers_row(found[i + 1]) != papers_row(case)
        if is_papers_task(found) and is_last:
            in_the_paper = papers_values(papers_row(case), columns)
            cells = [f"{in_the_paper[c]}" if c in in_the_paper else "" for c in columns]
            if in_the_paper:
                label = f"{papers_row(case)} ({paper.NAME})"
                rows.append([label, *([paper.TABLE_2_STEPS] if with_steps else []), *cells])
    heads = [*(["steps"] if with_steps else []), *map(column_name, columns)]
    return pd.DataFrame(rows, columns=[f"trained with ({judged.head})", *heads])


def rounds_note(cases: Sequence[CaseResult]) -> str:
    """Say in a few sentences what each column of the table means."""
    found = evaluated_cases(cases)
    columns = all_columns(found)
    blocks = {block_of(column) for column in columns}
    told = [f"{name}: {meaning}" for key, (name, meaning) in FULL.items() if key in columns]
    told += [LSH_MEANS] if "LSH attention" in blocks else []
    told += [ACROSS_MEANS] if f"LSH {ACROSS}" in blocks else []
    cut = "; one cut at 0 or 100 % is told by its ends" * (judged_together(found) is ACCURACY)
    text = f"Columns: {'; '.join(told)}. +- is half the 95 % interval over seeds{cut}."
    buckets = {_buckets(case, column) for case in found for column in columns} - {None}
    if len(buckets) == 1:
        [(size, chunk)] = [pair for pair in buckets if pair is not None]
        text += f" All LSH attention here has mean buckets of {size:g} and chunks of {chunk:g}."
    elif buckets:
        text += " A model is evaluated with buckets and chunks of the size it was trained with."
    if is_papers_task(found):
        text += (
            f" {paper.NAME}: {paper.TABLE_2_SOURCE}. It does not say which full attention it has; "
            "its numbers stand under the standard one."
        )
    return text


def is_papers_task(cases: Iterable[CaseResult]) -> bool:
    """Return whether all cases are of the task of the paper's Table 2."""
    return {case.settings.get("task") for case in cases} == {"duplication"}


def papers_row(case: CaseResult) -> str:
    """Name the row of Table 2 that a case compares with: "full" or "LSH-4"."""
    return f"LSH-{case.settings.get('n_rounds')}" if case.kind == "reformer" else "full"


def papers_values(row: str, columns: Sequence[str]) -> dict[str, float]:
    """Return the numbers of a row of Table 2 by column; of LSH they are of the paper's equations.

    Its full attention is taken for the standard one, where that was evaluated.
    """
    full = "full standard" if "full standard" in columns else "full"
    values = paper.TABLE_2.get(row.removeprefix("LSH-"), {})
    found = {full if column == "full" else column: value for column, value in values.items()}
    return {column: value for column, value in found.items() if column in columns}


def trained_name(case: CaseResult, among: Sequence[CaseResult]) -> str:
    """Name the attention a case was trained with, and what else tells it from the others."""
    s = case.settings
    keys = [key for key in _telling(among) if key not in IN_THE_NAME]
    words = [f"LSH-{s.get('n_rounds')}"]
    if case.kind != "reformer":
        words = [column_name(_full_of(s))]
        words += ["raw keys"] if s.get("unit_keys") is False and not s.get("attend_self") else []
    elif is_across(s):
        words.append(ACROSS)
        keys = [key for key in keys if key not in ("within_bucket", "correct_duplicates")]
    return ", ".join([*words, *phrases(s, keys)])


def is_across(s: Mapping[str, Any]) -> bool:
    """Was a model of these settings trained with LSH attention across buckets?"""
    return all(s.get(name) == value for name, value in ACROSS_BUCKETS.items())


def _telling(among: Sequence[CaseResult]) -> list[str]:
    """Return the settings that tell models apart; what follows from the bucket's size does not."""
    sizes = {case.settings.get("bucket_size") for case in among if case.kind == "reformer"}
    if len(sizes) < 2:
        return distinguishing(among)
    return ["bucket_size", *distinguishing(among, "bucket_size")]


def _full_of(s: Mapping[str, Any]) -> str:
    """Name the column that evaluates full attention as it was trained."""
    if not s.get("attend_self"):
        return "full"
    return "full with itself" if s.get("unit_keys", True) else "full standard"


def _row_order(case: CaseResult) -> tuple[bool, int, float, bool]:
    s = case.settings
    if case.kind == "reformer":
        return True, -(s.get("n_rounds") or 0), -bucket_of(case), is_across(s)
    return False, list(FULL).index(_full_of(s)), -bucket_of(case), False


def _column_order(column: str) -> tuple[int, int, str]:
    if column in FULL:
        return 0, list(FULL).index(column), ""
    rounds, _, way = column.partition(" ")
    known = rounds.isdigit() and way in ("", ACROSS)
    return (2 if way else 1) if known else 3, -int(rounds) if known else 0, column


def bucket_of(case: CaseResult) -> float:
    """Return the mean bucket of LSH attention that a case was evaluated with; 0 if it was not."""
    pairs = [_buckets(case, column) for column in columns_of(case)]
    return max((size for size, _ in filter(None, pairs)), default=0)


def _buckets(case: CaseResult, column: str) -> tuple[float, float] | None:
    recorded = columns_of(case).get(column, "")
    sizes, chunks = (case.quality(name, recorded) for name in ("bucket_size", "chunk_length"))
    if not (recorded and sizes and chunks):
        return None
    return next(iter(sizes.values())), next(iter(chunks.values()))
