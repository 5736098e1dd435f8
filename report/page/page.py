"""The report of a run is written into its folder: tables, figures and index.html.

A page holds all it shows: style, script and figures are inside, and nothing is fetched.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader

from reformer.checks import require
from report.figures.of_suite import draw_suites, drawing
from report.figures.style import for_paper
from report.page.ablations import ablations_json
from report.page.answers import answers
from report.page.caveats import caveats
from report.page.sections import dates_of, facts_of, place_of, section_of
from report.reading.captions import caption_of, machine_text
from report.reading.cases import CaseResult, load_run, suite_names
from report.reading.gathering import gather
from report.reading.planned import is_missing, missing_records, unfinished_text
from report.reading.series import View
from report.reading.view import views_of
from report.tables.cases_table import FLOOR, write_tables
from report.tables.markup import to_markdown
from report.text import plural
from suites.engine.store.plan import Plan
from suites.engine.store.records import Record
from suites.engine.store.runs import RunFolder

FIGURES, PAPER_FIGURES = "figures", "figures-paper"
BANNER = (
    "This is a run of the preset quick: it shows that everything runs. Its models are hardly "
    "trained and its times rest on few samples; it says nothing about the Reformer."
)
METHOD = (
    "Each timing has at least 5 samples in each of at least 3 fresh processes, taken in turns with "
    "the other cases; a number is the geometric mean of the processes' medians, and its 95 % "
    "interval is Student's over processes. Memory is the peak of one step, weights, gradients and "
    "optimizer state told apart from activations. Bits per dim are of held-out data, with "
    "intervals over seeds, differences paired by seed; those of accuracies are cut at 0 and 100 %."
)
FILES = ("table.csv", "table.md", "table.tex", "records.jsonl", "plan.json")
KINDS = (".csv", ".md", ".png")  # of what `compare --by` writes


@dataclass(frozen=True, slots=True)
class Reported:
    """What was written of a run, and what its page shows."""

    folder: Path
    records: list[Record]
    cases: list[CaseResult]
    views: list[View]
    sections: list[dict[str, Any]]
    paths: list[Path]
    is_quick: bool
    answers: list[dict[str, str]]
    caveats: list[str]
    about: str  # the machine and the dates
    state: str  # whether it is finished

    @property
    def findings(self) -> list[tuple[str, str]]:
        """Return for each suite its name and what it found, in sentences."""
        return [
            (part["name"], " ".join(f"{sentence}." for sentence in part["findings"]))
            for part in self.sections
        ]


def write_report(run_folder: Path, mixed: bool = False, style: str = "page") -> Reported:
    """Write table.csv, .md and .tex, figures/ and index.html, and return what was written.

    What the run's plan has and the records have not is told and drawn as missing. style: "paper"
    draws the figures once more, for a paper, into figures-paper/. Raises ValueError if there are no
    records, or if they are of different identity and not `mixed`.
    """
    reported = _write_run(Path(run_folder), mixed)
    if style == "paper":
        with for_paper():
            for drawn in draw_suites(reported.views, reported.folder / PAPER_FIGURES):
                reported.paths.extend(drawn)
    return reported


def write_overview(
    folders: Sequence[Path], page: Path, mixed: bool = False, style: str = "page"
) -> list[Path]:
    """Report each of several runs (see `write_report`), and all of them on one page.

    Machines are never mixed: each suite is shown as each run measured it, side by side, and linked
    to that run's page; each run answers for itself. Raises ValueError on two runs of one name.
    """
    names = [folder.name for folder in folders]
    twice = next((name for name in names if names.count(name) > 1), None)
    require(twice is None, f"two of the runs have the name {twice!r}; give one folder another name")
    runs = [write_report(folder, mixed, style) for folder in folders]
    links = [(run.folder.name, link_to(run.folder / "index.html", page.parent)) for run in runs]
    sections = [
        {**part, "id": f"{name}-{part['name']}", "run": name, "page": href}
        for (name, href), run in zip(links, runs, strict=True)
        for part in run.sections
    ]
    records = [record for run in runs for record in run.records]
    cases = gather(records, mixed=True)
    shown = {
        "title": "Is the Reformer worth it?",
        "runs": [
            (*link, f"{run.about}. {run.state}") for link, run in zip(links, runs, strict=True)
        ],
        "banners": [BANNER] if any(run.is_quick for run in runs) else [],
        "answers": [(run.folder.name, run.about, run.answers) for run in runs if run.answers],
        "groups": groups_of(sections),
        "ablations": "",
        "failed": [one for run in runs for one in failures(run.cases, run.folder, page.parent)],
        "left_out": left_out(cases),
        "files": links,
        "caveats": [(run.folder.name, run.caveats) for run in runs],
    }
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render(records, cases, shown), encoding="utf-8")
    return [*(path for run in runs for path in run.paths), page]


def _write_run(folder: Path, mixed: bool = False) -> Reported:
    records, plan = load_run(folder), plan_of(folder)
    cases = gather([*records, *missing_records(plan, records)], mixed)
    unfinished, short = (unfinished_text(plan, records, named) for named in (True, False))
    paths = write_tables(records, cases, folder, f"Run {folder.name}")
    run = facts_of(folder.name, plan)
    names = sorted(suite_names(cases), key=place_of)
    views = [view for name in names for view in views_of(name, cases)]
    sections = []
    with drawing(views, folder / FIGURES) as drawn:
        varied = [view.varies for view in views if view.varies]
        ablations = ablations_json(records, varied, mixed)
        cautions = [*filter(None, [unfinished]), *caveats(records, cases)]
        answered = [] if run.is_quick else answers(records)
        for view, of_suite in zip(views, drawn, strict=True):
            paths += of_suite
            sections.append(section_of(view, of_suite, run))
    with (folder / "table.md").open("a", encoding="utf-8") as file:
        file.write(f"\n{unfinished}\n" if unfinished else "")
        for part in sections:
            for title, table, note in part["tables"]:
                file.write(f"\n## {part['name']}: {title}\n\n{to_markdown(table)}\n{note}\n")
    page = folder / "index.html"
    shown = {
        "title": f"Is the Reformer worth it? Run {folder.name}",
        "runs": [],
        "banners": [BANNER] * run.is_quick + [f"{short} Method says which."] * bool(short),
        "answers": [("", "", answered)] if answered else [],
        "groups": groups_of(sections),
        "ablations": ablations,
        "failed": failures(cases, folder, folder),
        "left_out": left_out(cases),
        "files": [(name, link_to(folder / name, folder)) for name in files_of(folder)],
        "machine": caption_of([case for case in cases if not is_missing(case)]),
        "caveats": [("", cautions)],
    }
    page.write_text(render(records, cases, shown), encoding="utf-8")
    return Reported(
        folder=folder,
        records=records,
        cases=cases,
        views=views,
        sections=sections,
        paths=[*paths, page],
        is_quick=run.is_quick,
        answers=answered,
        caveats=cautions,
        about=about_text(records),
        state=short or ("Finished." if plan else "No plan tells whether it is finished."),
    )


def about_text(records: Sequence[Record]) -> str:
    """Say on which machine the records of a run were measured, and when."""
    machines = dict.fromkeys(machine_text(record.get("identity") or {}) for record in records)
    return "; ".join(filter(None, (" / ".join(machines), dates_of(records))))


def groups_of(sections: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Put the sections of one suite together, in the order of the questions that people ask."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for part in sorted(sections, key=lambda part: (place_of(part["suite"]), part["name"])):
        groups.setdefault(part["name"], []).append(part)
    return list(groups.values())


def files_of(folder: Path) -> list[str]:
    """Name the files of a run that its page links to, with what `compare --by` has written."""
    compared = sorted(path.name for path in folder.glob("compare_by_*") if path.suffix in KINDS)
    return [*(name for name in FILES if (folder / name).exists()), *compared]


def link_to(path: Path, home: Path) -> str:
    """Return how a page in the folder `home` links to a file."""
    return quote(os.path.relpath(path, home))


def plan_of(folder: Path) -> Plan | None:
    """Read the plan of a run; None, with a note, if there is none or none that can be read."""
    try:
        return RunFolder(folder).plan()
    except ValueError as error:
        print(f"note: what is missing cannot be told: {error}", file=sys.stderr)
        return None


def failures(cases: Sequence[CaseResult], folder: Path, home: Path) -> list[dict[str, str]]:
    """Return the cases of a run that failed, with the reason and the log where there is one.

    folder: of the run. home: of the page that links to the log.
    """
    found = []
    for case in cases:
        status, reason = case.failure
        if status and status != "skipped" and not is_missing(case):
            log = folder / "logs" / f"{case.id}.txt"
            has_log = case.id.isalnum() and log.exists()
            told = {"label": case.label, "status": status, "reason": reason}
            found.append({**told, "log": link_to(log, home) if has_log else ""})
    return found


def left_out(cases: Sequence[CaseResult]) -> list[str]:
    """Say what was not to be measured, and why: what is not installed is no failure."""
    reasons: dict[str, list[str]] = {}
    for case in cases:
        status, reason = case.failure
        if status == "skipped":
            reasons.setdefault(reason, []).append(case.label)
    return [
        f"Left out: {labels[0] if len(labels) == 1 else plural(len(labels), 'case')}; {reason}."
        for reason, labels in reasons.items()
    ]


def render(records: Sequence[Record], cases: Sequence[CaseResult], shown: dict[str, Any]) -> str:
    """Return the page as HTML."""
    loader = PackageLoader("report.page", ".")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    css, script = (loader.get_source(environment, name)[0] for name in ("style.css", "script.js"))
    return environment.get_template("page.html").render(
        n_cases=len(cases),
        n_records=len(records),
        floor=FLOOR,
        method=METHOD,
        version=_version(),
        css=css,
        script=script,
        **shown,
    )


def _version() -> str:
    try:
        return metadata.version("reformer-bench")
    except metadata.PackageNotFoundError:
        return ""
