"""The view of a suite is how its cases are drawn: lines along its axis, or categories."""

import importlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from report.reading.captions import caption_of
from report.reading.cases import CaseResult, in_suite
from report.reading.categories import category_lines, is_of_words
from report.reading.planned import is_missing
from report.reading.series import View, lines
from suites.base import Suite
from suites.effects import HOW
from suites.settings import SETTINGS


def view_of(name: str, cases: Iterable[CaseResult]) -> View:
    """Arrange the cases of the suite `name` into lines along the suite's own axis.

    Where that varies words, the axis has names. For a suite that is no longer in the code, the axis
    is the setting with most values.
    """
    members = in_suite(cases, name)
    suite = _suite(name)
    varies = suite.varies if suite else _widest_setting(members)
    named_by = suite.categories if suite else ()
    if varies and not named_by and is_of_words(members, varies):
        named_by = (varies,)
    if named_by:
        series, categories = category_lines(members, named_by, _places(suite))
    else:
        series, categories = tuple(lines(members, varies)), ()
    return View(
        name=name,
        suite=name,
        question=suite.question if suite else "",
        varies=varies,
        log_x=suite.log_x if suite else True,
        series=series,
        caption=caption_of([case for case in members if not is_missing(case)]),
        categories=categories,
        named_by=named_by,
        analyses=frozenset(suite.analyses if suite else ()),
    )


def question_of(name: str) -> str:
    """Return the question of a suite, "" for one that is no longer in the code."""
    suite = _suite(name)
    return suite.question if suite else ""


def case_ids_of(name: str, preset: str) -> frozenset[str]:
    """Return the ids of the cases of a suite at a preset, as the code has them now."""
    suite = _suite(name)
    return frozenset(case.id for case in suite.presets.get(preset, ())) if suite else frozenset()


def views_of(name: str, cases: Iterable[CaseResult]) -> list[View]:
    """Arrange the cases of a suite into a view, or into one per task where they are of several."""
    members = in_suite(cases, name)
    tasks = list(dict.fromkeys(c.settings["task"] for c in members if c.settings.get("task")))
    if len(tasks) < 2:
        return [view_of(name, members)]
    found = []
    for task in tasks:
        view = view_of(name, [c for c in members if c.settings.get("task", tasks[0]) == task])
        # a name becomes that of a file
        found.append(replace(view, name=f"{name}_{re.sub(r'[^A-Za-z0-9-]', '_', str(task))}"))
    return found


def _places(suite: Suite | None) -> dict[str, int]:
    """Return the place of each case in its preset, by id."""
    if suite is None:
        return {}
    return {case.id: i for preset in suite.presets for i, case in enumerate(suite.cases(preset))}


def _suite(name: str) -> Suite | None:
    if not name.isidentifier():  # from a record: no module outside of suites is imported
        return None
    try:
        found = getattr(importlib.import_module(f"suites.{name}"), "SUITE", None)
    except ModuleNotFoundError:
        return None
    return found if isinstance(found, Suite) else None


def _widest_setting(cases: Sequence[CaseResult]) -> str:
    def width(name: str) -> int:
        values = {case.settings.get(name) for case in cases} - {None}
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        return len(values) if numbers else 0

    return max((name for name in SETTINGS if name not in HOW), key=width)
