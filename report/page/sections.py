"""A section of a page shows what a suite asked, found, drew and measured."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from report.findings import suite_finding
from report.page.svg import Inline, inline_svg
from report.reading.measures import MEASURES, is_told
from report.reading.planned import is_missing
from report.reading.series import View
from report.reading.view import case_ids_of
from report.tables.analyses_table import mass_table, past_only_table
from report.tables.cases_table import suite_table
from report.tables.curves_table import curves_table
from report.tables.evaluated_with_table import are_evaluated, rounds_note, rounds_table
from report.tables.parts_table import parts_table
from report.tables.scaling_table import scaling_table
from report.text import plural
from suites.engine.store.plan import Plan
from suites.engine.store.records import Record

# In the order of the questions that people ask; other suites follow by name.
ORDER = (
    *("sequence_length", "hash_rounds", "bucket_size", "layers", "components", "feed_forward"),
    *("attention_details", "layer_kinds", "duplication", "duplication_buckets", "recall"),
    *("shared_qk", "reversible", "hash_rounds_pictures", "learning_rate"),
    *("attention_speed", "attention_length", "million"),
)
QUICK = "quick"
PAPERS_EXPONENT = (
    "The paper's exponent: the power with which the paper's bound (Tables 1 and 3, the larger "
    "term) grows at these sizes. Memory is that of activations and workspace."
)
# Of planned cases that were not measured, so many are named.
NAMED = 5


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Facts of a run that its records do not hold; "" and empty where its plan cannot be read."""

    name: str
    preset: str = ""
    seeds: tuple[int, ...] = ()
    device: str = ""
    # the suites of which --set or --data changed cases: the settings that they changed
    changed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # of the suites of which --where left out cases: how many they have at the preset
    whole: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_quick(self) -> bool:
        """Return whether the run shows only that everything runs."""
        return self.preset == QUICK


def facts_of(name: str, plan: Plan | None) -> RunFacts:
    """Take the facts of a run from its plan, None where that cannot be read."""
    if plan is None:
        return RunFacts(name)
    changed: dict[str, tuple[str, ...]] = {}
    planned: dict[str, set[str]] = {}
    for case_id, entry in plan.entries.items():
        for suite in entry.suites:
            planned.setdefault(suite, set()).add(case_id)
            if entry.changed:
                changed[suite] = (*changed.get(suite, ()), *entry.changed)
    ids = {suite: case_ids_of(suite, plan.preset) for suite in planned}
    whole = {suite: len(ids[suite]) for suite in planned if ids[suite] - planned[suite]}
    seeds = tuple(plan.seeds)
    return RunFacts(name, plan.preset, seeds, plan.device, changed, whole)


def section_of(view: View, drawn: Sequence[Path], run: RunFacts) -> dict[str, Any]:
    """Collect what a page shows of a suite."""
    measured = [m for m in MEASURES if any(MEASURES[m](case) is not None for case in view.cases)]
    told = [measure for measure in measured if is_told(view, measure)]
    if run.is_quick:
        told = [measure for measure in told if measure != "quality"]
    figures = sorted({path.with_suffix(".svg") for path in drawn}, key=drawn_order(drawn))
    return {
        "name": view.name,
        "id": view.name,
        "suite": view.suite,
        "question": question_text(view),
        "findings": [suite_finding(view, measure) for measure in told],
        "missing": missing_text(view),
        "figures": [shown_figure(path, run) for path in figures],
        "tables": tables_of(view),
        "table": suite_table(view.cases),
        "facts": facts_text(view, run),
        "command": command_of(view.suite, run),
        "no_command": no_command_text(view.suite, run),
        "whole": run.whole.get(view.suite, 0),
        "run": "",
    }


def question_text(view: View) -> str:
    """Return the question of a suite, with the task where it has several."""
    tasks = {case.settings["task"] for case in view.cases if case.settings.get("task")}
    told = view.name != view.suite and len(tasks) == 1
    return f"{view.question} ({tasks.pop()})" if told else view.question


def drawn_order(drawn: Sequence[Path]) -> Any:
    """Return the key that sorts figures as they were drawn."""
    first = {path.stem: i for i, path in reversed(list(enumerate(drawn)))}
    return lambda path: first[path.stem]


def shown_figure(path: Path, run: RunFacts) -> Inline:
    """Return a figure with its finding; of a quick run only what is found of time and memory."""
    name = path.stem.replace("_", " ")  # for those who cannot see it
    shown = inline_svg(path, name)
    says_it = not run.is_quick or name.endswith((" time", " memory"))
    return shown if says_it else shown._replace(finding="")


def tables_of(view: View) -> list[tuple[str, pd.DataFrame, str]]:
    """Return the tables of a suite beside the one of its cases: title, table and a note."""
    found = [
        (title, table, note)
        for title, table, note in (
            ("what each part changes, with it over without it", parts_table(view), ""),
            ("at equal training time", curves_table(view), ""),
            ("how it scales", scaling_table(view), PAPERS_EXPONENT),
        )
        if table is not None
    ]
    if are_evaluated(view.cases):
        title = "trained with (rows), evaluated with (columns)"
        found.append((title, rounds_table(view.cases), rounds_note(view.cases)))
    for title, table in (
        ("change if each position is predicted from its prefix alone", past_only_table(view)),
        ("share of the true attention, in %, that pairs hold which met", mass_table(view)),
    ):
        if table is not None:
            found.append((title, table, ""))
    return found


def facts_text(view: View, run: RunFacts) -> str:
    """Say of a suite's cases how many there are, the preset, the seeds, the date and the method."""
    records = [record for case in view.cases for record in case.records]
    methods = sorted({str(record.get("method")) for record in records})
    told = [
        f"{len(view.cases)} cases",
        f"preset {run.preset}" if run.preset else "",
        plural(len(run.seeds), "seed") if run.seeds else "",
        dates_of(records),
        f"method {' and '.join(methods)}",
    ]
    return ", ".join(filter(None, told))


def dates_of(records: Sequence[Record]) -> str:
    """Tell the first and the last day on which records were measured; "" if they do not say."""
    dates = sorted(
        str(job["started"])[:10]
        for record in records
        for job in record.get("jobs") or []
        if job.get("started")
    )
    return " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else ""


def command_of(suite: str, run: RunFacts) -> str:
    """Return the command that measures the suite again; "" where it had changes of its own."""
    if suite in run.changed:
        return ""
    seeds = f" --seeds {len(run.seeds)}" if run.seeds else ""
    preset = f" --preset {run.preset}" if run.preset else ""
    device = f" --device {run.device}" if run.device not in ("", "cpu") else ""
    name = shlex.quote(run.name)
    return f"python run_bench.py run {suite}{preset}{seeds}{device} --run {name}"


def no_command_text(suite: str, run: RunFacts) -> str:
    """Say why there is no command that measures the suite again; "" where there is one."""
    names = sorted({name.replace("_", " ") for name in run.changed.get(suite, ())})
    if not names:
        return ""
    return (
        f"No one command measures this again: of its cases {', '.join(names)} were set otherwise; "
        "plan.json has them."
    )


def missing_text(view: View) -> list[str]:
    """Say which planned cases of a suite have no record yet."""
    names = [case.label for case in view.cases if is_missing(case)]
    if not names:
        return []
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"Not measured yet: {'; '.join(names[:NAMED])}{more}."]


def place_of(name: str) -> tuple[int, str]:
    """Return what sorts suites by ORDER."""
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
