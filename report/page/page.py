"""The report of a run is written into its folder: tables, figures and index.html."""

import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from report.figures.of_suite import draw_suite
from report.findings import suite_finding
from report.page.caveats import caveats
from report.reading.captions import caption_of
from report.reading.cases import CaseResult, gather, load_run, suite_names
from report.reading.measures import MEASURES
from report.reading.planned import is_missing, missing_records, unfinished_text
from report.reading.series import View
from report.reading.view import view_of
from report.tables.cases_table import FLOOR, suite_table, write_tables
from report.tables.curves_table import curves_table
from report.tables.evaluated_with_table import are_evaluated, rounds_table
from report.tables.markup import to_markdown
from report.tables.parts_table import parts_table
from report.tables.scaling_table import scaling_table
from suites.engine.store.plan import Plan
from suites.engine.store.records import Record
from suites.engine.store.runs import RunFolder

FIGURES = "figures"
# The tables of a suite beside the one of all its cases, in their order.
TABLE_TITLES = {
    "parts": "what each part changes, with it over without it",
    "curves": "at equal training time",
    "scaling": "how it scales, beside the powers of the bounds that the paper prints",
    "rounds": "trained with (rows), evaluated with (columns)",
}


def write_report(run_folder: Path, mixed: bool = False) -> list[Path]:
    """Write table.csv, .md and .tex, figures/ and index.html, and return their paths.

    What the run's plan has and the records have not is told and drawn as missing. Raises ValueError
    if there are no records, or if they are of different identity and not `mixed`.
    """
    folder = Path(run_folder)
    records, plan = load_run(folder), plan_of(folder)
    cases = gather([*records, *missing_records(plan, records)], mixed)
    paths = write_tables(records, cases, folder, f"Run {folder.name}")
    views = [view_of(name, cases) for name in suite_names(cases)]
    sections = []
    for view in views:
        drawn = draw_suite(view, folder / FIGURES)
        paths += drawn
        sections.append(section_of(view, drawn))
    unfinished = unfinished_text(plan, records)
    with (folder / "table.md").open("a", encoding="utf-8") as file:
        file.write(f"\n{unfinished}\n" if unfinished else "")
        for part in sections:
            for name, title in TABLE_TITLES.items():
                if part[name] is not None:
                    file.write(f"\n## {part['name']}: {title}\n\n{to_markdown(part[name])}")
    page = folder / "index.html"
    page.write_text(render(folder.name, records, cases, sections, unfinished), encoding="utf-8")
    return [*paths, page]


def plan_of(folder: Path) -> Plan | None:
    """Read the plan of a run; None, with a note, if there is none or none that can be read."""
    try:
        return RunFolder(folder).plan()
    except ValueError as error:
        print(f"note: what is missing cannot be told: {error}", file=sys.stderr)
        return None


def section_of(view: View, drawn: Sequence[Path]) -> dict[str, Any]:
    """Collect what the page shows of a suite."""
    told = [m for m in MEASURES if any(MEASURES[m](case) is not None for case in view.cases)]
    return {
        "name": view.name,
        "question": view.question,
        "findings": [suite_finding(view, measure) for measure in told],
        "figures": [path.stem for path in drawn if path.suffix == ".png"],
        "table": suite_table(view.cases),
        "parts": parts_table(view),
        "curves": curves_table(view),
        "scaling": scaling_table(view),
        "rounds": rounds_table(view.cases) if are_evaluated(view.cases) else None,
    }


def render(
    name: str,
    records: Sequence[Record],
    cases: Sequence[CaseResult],
    sections: Sequence[dict[str, Any]],
    unfinished: str = "",
) -> str:
    """Return the page as HTML; it links figures relatively and holds everything else."""
    environment = Environment(
        loader=PackageLoader("report.page", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    failed = [(case.label, *case.failure) for case in cases if case.failure[0]]
    return environment.get_template("page.html").render(
        name=name,
        machine=caption_of([case for case in cases if not is_missing(case)]),
        unfinished=unfinished,
        sections=sections,
        failed=failed,
        caveats=caveats(records, cases),
        n_cases=len(cases),
        n_records=len(records),
        figures=FIGURES,
        table_titles=TABLE_TITLES,
        floor=FLOOR,
        version=_version(),
    )


def _version() -> str:
    try:
        return metadata.version("reformer-bench")
    except metadata.PackageNotFoundError:
        return ""
