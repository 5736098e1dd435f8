"""An ablation tells what each level of one setting buys and costs, all else being equal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reformer.checks import refuse_unknown
from report.compare.level_rows import row_of, step_text, words_of
from report.compare.levels import (
    Level,
    dense_beside,
    group_names,
    groups_by,
    levels_of,
    n_measured,
)
from report.reading.cases import CaseResult
from report.reading.gathering import gather
from report.tables.markup import to_markdown, without_empty
from suites.engine.store.records import Record
from suites.engine.terminal import table_text, wrapped
from suites.settings import SETTINGS, Settings

# The columns of the table for people that a terminal is too narrow for.
NOT_IN_A_TERMINAL = ("where", "costs: memory", "per extra")
# More levels than these no figure can name.
CROWD = 12


@dataclass(frozen=True, slots=True)
class Ablation:
    """An ablation holds all levels of a factor, those of the presets' own task first.

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
        return without_empty(pd.DataFrame([words_of(one, self.factor) for one in self.levels]))

    def markdown(self) -> str:
        """Return the finding and the table for people as Markdown."""
        return f"{self.finding()}.\n\n{to_markdown(self.for_people())}"

    def text(self, width: int) -> str:
        """Return the finding and a narrower table of each group, for a terminal of so many columns.

        What memory and each unit more cost is left to the files.
        """
        told = [wrapped(f"{self.finding()}.", width)]
        for group, rows in self.for_people().groupby("where", sort=False):
            shown = without_empty(rows)
            names = [name for name in map(str, shown) if not name.startswith(NOT_IN_A_TERMINAL)]
            table = table_text(names, shown[names].to_numpy(str), width)
            told.append(f"{wrapped(str(group), width)}\n{table}")
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
        return f"{'; '.join(told)} ({main[0].group})"


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
    """Return the groups in which the factor varies alone, in their order, and their names."""
    refuse_unknown(factor, SETTINGS, "setting")
    groups = [found for found in groups_by(cases, factor) if len(found) > 1]
    if not groups:
        raise ValueError(
            f"no two cases differ in {factor} alone; measure a suite that varies it, "
            "or compare by another setting"
        )
    groups.sort(key=_place)
    return groups, group_names(groups, factor)


def _place(found: dict[Any, CaseResult]) -> tuple[int, bool, int, int, int]:
    """Return what sorts groups: the presets' own task, then other tasks, then single calls.

    Of these a group that a figure can show comes first; then one of which more was trained, and of
    which more is known.
    """
    task = next(iter(found.values())).settings.get("task")
    kind = 0 if task == Settings().task else 1 if task else 2
    trained = sum(bool(case.quality()) for case in found.values())
    known = sum(n_measured(case) for case in found.values())
    return kind, len(found) > CROWD, -trained, -known, -len(found)


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
