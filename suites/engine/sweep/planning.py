"""From the command line to a plan: find the suites, pick their cases, notice a plan that the code
has left. No torch.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import suites
from reformer.checks import refuse_unknown
from suites.base import PRESETS, Case, Suite
from suites.engine.store.runs import Entry, Plan
from suites.settings import SETTINGS

# An accuracy or bits/dim claim rests on at least 3 seeds; `quick` only shows that everything runs.
DEFAULT_SEEDS = {"quick": 1, "cpu": 3, "paper": 3}
# Seconds that one job may take.
DEFAULT_TIMEOUT_S = {"quick": 300.0, "cpu": 7200.0, "paper": 86400.0}


def find_suites() -> dict[str, Suite]:
    """Every module of the package `suites` that defines SUITE, by name."""
    found = {}
    for module in pkgutil.iter_modules(suites.__path__):
        if not module.ispkg:
            suite = getattr(
                importlib.import_module(f"{suites.__name__}.{module.name}"), "SUITE", None
            )
            if isinstance(suite, Suite):
                found[module.name] = suite
    return found


def make_plan(
    name: str,
    names: Sequence[str],
    preset: str,
    n_seeds: int | None,
    where: Sequence[str],
    all_suites: dict[str, Suite],
) -> Plan:
    """The plan of these suites (all, if none is named) at a preset, cases that stand in two suites
    once.

    where: "key=value" conditions on settings. Raises ValueError on unknown names, and when no case
    is left.
    """
    refuse_unknown(preset, PRESETS, "preset")
    for suite in names:
        refuse_unknown(suite, all_suites, "suite")
    if n_seeds is not None and n_seeds < 1:
        raise ValueError(f"--seeds is {n_seeds}; it must be 1 or more")
    keep = condition(where)
    entries: dict[str, Entry] = {}
    for suite in names or list(all_suites):
        if not names and preset not in all_suites[suite].presets:
            continue
        for case in all_suites[suite].cases(preset):
            if keep(case):
                before = entries[case.id].suites if case.id in entries else ()
                entries[case.id] = Entry(case=case, suites=(*before, suite))
    if not entries:
        chosen = " ".join(names) or "any suite"
        raise ValueError(
            f"no case of {chosen} at preset {preset!r} fulfils {' '.join(where) or 'this'}; "
            "see the cases with: python run_bench.py run --dry-run"
        )
    seeds = list(range(n_seeds or DEFAULT_SEEDS[preset]))
    return Plan(name=name, preset=preset, seeds=seeds, device="", entries=entries)


def check_current(plan: Plan, all_suites: dict[str, Suite]) -> None:
    """Raise ValueError if a suite no longer has a case that the frozen plan has from it."""
    for case_id, entry in plan.entries.items():
        for name in entry.suites:
            suite = all_suites.get(name)
            cases = suite.presets.get(plan.preset, []) if suite else []
            if case_id not in {case.id for case in cases}:
                raise ValueError(
                    f"the plan of run {plan.name!r} no longer matches the code: suite {name!r} "
                    f"has no case {case_id} ({entry.case.label}) any more; use another --run name"
                )


def condition(where: Iterable[str]) -> Callable[[Case], bool]:
    """A test of cases for "key=value" conditions; values of one key are alternatives, keys must all
    hold. A setting without effect on a case, such as the rounds of a dense one, has no value.
    """
    wanted: dict[str, list[str]] = {}
    for text in where:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--where {text!r} is not of the form key=value, such as length=1024")
        refuse_unknown(key, SETTINGS, "setting")
        wanted.setdefault(key, []).append(value)

    def keep(case: Case) -> bool:
        measured = case.settings.measured()
        return all(
            key in measured and any(equals_text(measured[key], value) for value in values)
            for key, values in wanted.items()
        )

    return keep


def equals_text(value: Any, text: str) -> bool:
    """Is `text` how a person writes `value`? Numbers by value, true and false in any case, tuples
    as 1,2.
    """
    text = text.strip()
    if isinstance(value, tuple):
        parts = text.strip("()").split(",") if text.strip("()") else []
        return len(parts) == len(value) and all(map(equals_text, value, parts))
    if isinstance(value, bool) or value is None:
        return str(value).lower() == text.lower()
    if isinstance(value, int | float):
        try:
            return float(text) == value
        except ValueError:
            return False
    return value == text


def parse_data(pairs: Iterable[str], tasks: Iterable[str]) -> dict[str, str]:
    """{task: path} of "--data NAME=PATH". Raises ValueError on other forms and on tasks that the
    plan lacks.
    """
    paths, tasks = {}, sorted(set(tasks))
    for text in pairs:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise ValueError(
                f"--data {text!r} is not of the form NAME=PATH, such as enwik8=data/enwik8"
            )
        refuse_unknown(name, tasks, "task in --data")
        paths[name] = path
    return paths
