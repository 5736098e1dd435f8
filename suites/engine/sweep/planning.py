"""What is asked becomes a plan, and a plan becomes jobs. No torch."""

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import suites
from reformer.checks import refuse_unknown, require_integer
from suites.base import PRESETS, Case, Suite, make_case, unique
from suites.engine.job import Job
from suites.engine.store.plan import Entry, Plan
from suites.engine.sweep.growth import limit
from suites.engine.sweep.key_values import changes_of, condition, unfulfilled
from suites.settings import TEXT_TASKS, change

MOST_SEEDS = MOST_PROCESSES = 1000  # each is a job of its own
# An accuracy or bits/dim claim rests on at least 3 seeds; `quick` only shows that everything runs.
DEFAULT_SEEDS = {"quick": 1, "cpu": 3, "gpu": 3, "paper": 3}
# Seconds that one job may take.
DEFAULT_TIMEOUT_S = {"quick": 300.0, "cpu": 7200.0, "gpu": 3600.0, "paper": 86400.0}
# In which order jobs run, by kind.
KINDS = {"time": 0, "memory": 1, "quality": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """This is what a person asks to measure.

    suites: names, all if none is named. where: "key=value" conditions on settings. changes:
    "key=value", settings to change in every case. own_text: cases on text are on the user's own.
    n_seeds: None for the preset's number.
    """

    preset: str
    suites: Sequence[str] = ()
    where: Sequence[str] = ()
    changes: Sequence[str] = ()
    own_text: bool = False
    n_seeds: int | None = None


def find_suites() -> dict[str, Suite]:
    """Find every module of the package `suites` that defines SUITE, by name."""
    found = {}
    for module in pkgutil.iter_modules(suites.__path__):
        if not module.ispkg:
            name = f"{suites.__name__}.{module.name}"
            suite = getattr(importlib.import_module(name), "SUITE", None)
            if isinstance(suite, Suite):
                found[module.name] = suite
    return found


def make_plan(name: str, asked: Asked, all_suites: dict[str, Suite]) -> Plan:
    """Make the plan of what is asked; a case that stands in two suites stands in it once.

    Conditions are on cases as they are after changes. Raises ValueError on unknown names and
    illegal values, and when no case is left, or none that fulfils one of several alternatives.
    """
    preset = asked.preset
    refuse_unknown(preset, PRESETS, "preset")
    for suite in asked.suites:
        refuse_unknown(suite, all_suites, "suite")
        legal = all_suites[suite].presets
        if preset not in legal:
            raise ValueError(
                f"suite {suite!r} has no preset {preset!r}; it has {', '.join(legal)}: ask for one "
                "of these, or leave this suite out"
            )
    if asked.n_seeds is not None:
        require_integer("--seeds", asked.n_seeds, 1, MOST_SEEDS)
    keep, changes = condition(asked.where), changes_of(asked.changes)
    told = ("task",) * asked.own_text + tuple(changes)
    entries: dict[str, Entry] = {}
    kept: list[Case] = []
    for suite in asked.suites or list(all_suites):
        if not asked.suites and preset not in all_suites[suite].presets:
            continue
        for case in changed(all_suites[suite].cases(preset), changes, asked.own_text):
            if keep(case):
                entry = Entry(case=case, suites=(suite,), changed=told)
                kept.append(case)
                before = entries.get(case.id)
                entries[case.id] = before.joined(entry) if before else entry
    lacking = unfulfilled(asked.where, kept)
    if lacking or not kept:
        chosen = " ".join(asked.suites) or "any suite"
        raise ValueError(
            f"no case of {chosen} at preset {preset!r} fulfils {lacking or 'this'}; "
            "see the cases with: python run_bench.py run --dry-run"
        )
    for entry in entries.values():
        require_integer("max_processes", limit(entry.case.settings), 1, MOST_PROCESSES)
    skips = [entry.case.skip for entry in entries.values()]
    if changes and all(skips):
        raise ValueError(f"no case can be measured as --set says: {skips[0]}")
    seeds = list(range(asked.n_seeds or DEFAULT_SEEDS[preset]))
    return Plan(name=name, preset=preset, seeds=seeds, device="", entries=entries)


def changed(cases: Iterable[Case], changes: Mapping[str, Any], own_text: bool) -> list[Case]:
    """Change settings of all cases, and leave out, with a note, those in which that is illegal.

    Raises ValueError if it is illegal in all of them.
    """
    if not changes and not own_text:
        return list(cases)
    found, refusals = [], []
    for case in cases:
        text = {"task": "text"} if own_text and case.settings.task in TEXT_TASKS else {}
        try:
            found.append(make_case(change(case.settings, **{**text, **changes})))
        except ValueError as error:
            refusals.append(str(error))
    if refusals and not found:
        raise ValueError(f"no case can be changed as --set says: {refusals[0]}")
    if refusals:
        left_out = f"{len(refusals)} of {len(refusals) + len(found)} cases are left out"
        print(f"note: {left_out}, --set is illegal in them: {refusals[0]}", file=sys.stderr)
    return unique(found)


def left_behind(plan: Plan, all_suites: dict[str, Suite]) -> list[str]:
    """Return the ids of planned cases that no suite has any more; not of those --set changed."""
    here = {
        case.id
        for suite in all_suites.values()
        if plan.preset in suite.presets
        for case in suite.cases(plan.preset)
    }
    return [
        case_id
        for case_id, entry in plan.entries.items()
        if case_id not in here and not entry.changed
    ]


def jobs_of(
    case_id: str, case: Case, plan: Plan, data: Mapping[str, str], library: str = ""
) -> list[Job]:
    """Make all jobs of a case: time and memory for the first seed, quality for each seed.

    Of timings it makes as many as there may be (growth.py says which are due). A skipped case has
    none. data: paths by task. library: the compiled native kernel.
    """
    if case.skip:
        return []
    s, first = case.settings, plan.seeds[0]
    wanted = [("time", index, first) for index in range(limit(s)) if "time" in s.measures]
    wanted += [("memory", 0, first)] if "memory" in s.measures else []
    wanted += [("quality", 0, seed) for seed in plan.seeds if "quality" in s.measures]
    return [
        Job(
            case_id=case_id,
            kind=kind,
            index=index,
            seed=seed,
            settings=s,
            device=plan.device,
            data_path=data.get(s.task),
            library=library,
        )
        for kind, index, seed in wanted
    ]


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Order jobs: the first pass of every case, then the second, ..., then memory, then quality."""
    return sorted(jobs, key=lambda job: (KINDS[job.kind], job.index, job.seed))
