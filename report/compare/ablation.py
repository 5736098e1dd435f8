"""An ablation tells what each level of one setting buys and costs, all else being equal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reformer.checks import refuse_unknown
from report.compare.level_rows import row_of, step_text, words_of
from report.compare.levels import Level, dense_beside, group_names, groups_by, levels_of
from report.reading.cases import CaseResult
from report.reading.gathering import gather
from report.tables.markup import to_markdown
from suites.engine.store.records import Record
from suites.engine.terminal import table_text, wrapped
from suites.settings import SETTINGS

# The columns of the table for people that a terminal is too narrow for.
NOT_IN_A_TERMINAL = ("where", "costs: memory", "per extra")


@dataclass(frozen=True, slots=True)
class Ablation:
    """An ablation holds all levels of a factor, those of the largest group first.

    `others` are dense cases for orientation, against the base of the group that they resemble.
    """

    factor: str
    levels: tuple[Level, ...]
    others: tuple[Level, ...]

    def table(self) -> pd.DataFrame:
        """Return a row of numbers per level."""
        return pd.DataFrame([row_of(level, self.factor) for level in self.levels])

    def for_people(self) -> pd.DataFrame:
        """Return a row of words per level: what it buys and costs, in all and per extra unit.

        Both are against the base; columns in which nothing stands are left out.
        """
        rows = [words_of(level, self.factor) for level in self.levels]
        table = pd.DataFrame(rows).replace("", None).dropna(axis=1, how="all")
        return table.astype(object).fillna("")

    def markdown(self) -> str:
        """Return the finding and the table for people as Markdown."""
        return f"{self.finding()}.\n\n{to_markdown(self.for_people())}"

    def text(self, width: int) -> str:
        """Return the finding and a narrower table of each group, for a terminal of so many columns.

        What memory and each unit more cost is left to the files.
        """
        table, told = self.for_people(), [wrapped(f"{self.finding()}.", width)]
        groups = table.groupby("where", sort=False) if "where" in table else [("", table)]
        names = [name for name in map(str, table) if not name.startswith(NOT_IN_A_TERMINAL)]
        for group, rows in groups:
            heading = f"{wrapped(str(group), width)}\n" if group else ""
            told.append(heading + table_text(names, rows[names].to_numpy(str), width))
        return "\n\n".join(told)

    def finding(self) -> str:
        """Say what the first and the last step up from the base buy and cost in the main group."""
        main = [one for one in self.levels if one.group == self.levels[0].group]
        start = next(one for one in main if one.case is one.base)
        steps = [one for one in main if one is not start]
        told = []
        for one in (*steps[:1], *steps[1:][-1:]):
            below = one.previous or start
            told.append(step_text(one, below.case, below.name))
        where = f" ({main[0].group})" if main[0].group else ""
        return "; ".join(told) + where


def compare_by(
    records: Sequence[Record], factor: str, base: Any = None, mixed: bool = False
) -> Ablation:
    """Compare the levels of `factor` in the records of a run; see `compare_cases`.

    Raises ValueError as that does, and on records of different identity unless `mixed`.
    """
    return compare_cases(gather(records, mixed), factor, base)


def compare_cases(cases: Sequence[CaseResult], factor: str, base: Any = None) -> Ablation:
    """Compare each level of `factor` with the lowest, or with `base`, all else being equal.

    Levels are compared within groups of cases that are equal in all other settings; chunk_length
    counts as in force. By "attention", levels are models, the base is sdpa, and only the settings
    that the models share must be equal. Raises ValueError on an unknown factor or base, and on a
    factor that does not vary alone.
    """
    return _compared(cases, factor, base, *_named_groups(cases, factor))


def compare_with_each(cases: Sequence[CaseResult], factor: str) -> dict[str, Ablation]:
    """Compare the levels of `factor` with each of them, by its name; with the usual base first.

    Raises ValueError as `compare_cases` does.
    """
    named = _named_groups(cases, factor)
    usual = _compared(cases, factor, None, *named)
    first = next(str(one.level) for one in usual.levels if one.case is one.base)
    others = dict.fromkeys(str(one.level) for one in usual.levels if str(one.level) != first)
    return {name: _compared(cases, factor, name, *named) for name in (first, *others)}


def _named_groups(
    cases: Sequence[CaseResult], factor: str
) -> tuple[list[dict[Any, CaseResult]], list[str]]:
    """Return the groups in which the factor varies alone, the largest first, and their names."""
    refuse_unknown(factor, SETTINGS, "setting")
    groups = [found for found in groups_by(cases, factor) if len(found) > 1]
    if not groups:
        raise ValueError(
            f"no two cases differ in {factor} alone; measure a suite that varies it, "
            "or compare by another setting"
        )
    groups.sort(key=len, reverse=True)
    return groups, group_names(groups, factor)


def _compared(
    cases: Sequence[CaseResult],
    factor: str,
    base: Any,
    groups: Sequence[dict[Any, CaseResult]],
    names: Sequence[str],
) -> Ablation:
    if base is not None:
        legal = {str(level): level for found in groups for level in found}
        refuse_unknown(str(base), legal, f"level of {factor}")
        base = legal[str(base)]
    levels = [
        one
        for name, found in zip(names, groups, strict=True)
        for one in levels_of(name, found, factor, base)
    ]
    return Ablation(factor, tuple(levels), tuple(dense_beside(cases, levels, factor)))
