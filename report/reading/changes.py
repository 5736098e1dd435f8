"""A suite whose cases each change something else of a base is told by its changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from report.reading.cases import CaseResult
from report.reading.series import name_by_settings
from suites.effects import HOW
from suites.labels import level_phrase
from suites.settings import SETTINGS


@dataclass(frozen=True, slots=True)
class Change:
    """A change is a case beside the base, named by what differs."""

    name: str
    case: CaseResult
    base: CaseResult


def base_of(cases: Sequence[CaseResult]) -> CaseResult:
    """Return the case from which the others differ in the fewest settings, the first of equals."""
    return min(cases, key=lambda case: sum(len(differing(case, other)) for other in cases))


def changes_of(cases: Sequence[CaseResult]) -> list[Change]:
    """Return what each case but the base changes of it, setting by setting."""
    base = base_of(cases)
    found = [(differing(case, base), case) for case in cases if case is not base]
    found.sort(key=lambda one: [SETTINGS.index(key) for key in one[0]])
    return [Change(change_name(keys, case), case, base) for keys, case in found]


def names_of_changes(cases: Sequence[CaseResult]) -> dict[str, str]:
    """Return by id what each case changes of the base, and of the base no more than its kind.

    The base comes first.
    """
    base = base_of(cases)
    changed = {one.case.id: one.name for one in changes_of(cases)}
    return {base.id: f"base: {name_by_settings(base, ())}", **changed}


def differing(case: CaseResult, base: CaseResult) -> list[str]:
    """Return the settings in which two cases differ, but for how they are measured."""
    both = (case.settings, base.settings)
    return [key for key in SETTINGS if key not in HOW and both[0].get(key) != both[1].get(key)]


def change_name(keys: Sequence[str], case: CaseResult) -> str:
    """Name a change by its settings, which are told even where they are the usual ones."""
    found = [(key, case.settings[key]) for key in keys if key in case.settings]
    words = [level_phrase(key, value) for key, value in found]
    return ", ".join([*words, *([case.mark] if case.mark else [])])
