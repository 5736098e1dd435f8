"""The report of a run is written into its folder: tables, figures and index.html."""

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
from report.reading.series import View, views_of
from report.tables.cases_table import FLOOR, suite_table, write_tables
from report.tables.evaluated_with_table import are_evaluated, rounds_table
from report.tables.markup import to_markdown
from report.tables.scaling_table import scaling_table
from suites.engine.store.records import Record

FIGURES = "figures"
# The tables of a suite beside the one of all its cases, in their order.
TABLE_TITLES = {
    "scaling": "how it scales",
    "rounds": "trained with (rows), evaluated with (columns)",
}


def write_report(run_folder: Path, mixed: bool = False) -> list[Path]:
    """Write table.csv, .md and .tex, figures/ and index.html, and return their paths.

    Raises ValueError if there are no records, or if they are of different identity and not `mixed`.
    """
    folder = Path(run_folder)
    records = load_run(folder)
    cases = gather(records, mixed)
    paths = write_tables(records, cases, folder, f"Run {folder.name}")
    views = [view for name in suite_names(cases) for view in views_of(name, cases)]
    sections = []
    for view in views:
        drawn = draw_suite(view, folder / FIGURES)
        paths += drawn
        sections.append(section_of(view, drawn))
    with (folder / "table.md").open("a", encoding="utf-8") as file:
        for part in sections:
            for name, title in TABLE_TITLES.items():
                if part[name] is not None:
                    file.write(f"\n## {part['name']}: {title}\n\n{to_markdown(part[name])}")
    page = folder / "index.html"
    page.write_text(render(folder.name, records, cases, sections), encoding="utf-8")
    return [*paths, page]


def section_of(view: View, drawn: Sequence[Path]) -> dict[str, Any]:
    """Collect what the page shows of a suite."""
    told = [m for m in MEASURES if any(MEASURES[m](case) is not None for case in view.cases)]
    return {
        "name": view.name,
        "question": view.question,
        "findings": [suite_finding(view, measure) for measure in told],
        "figures": [path.stem for path in drawn if path.suffix == ".png"],
        "table": suite_table(view.cases),
        "scaling": scaling_table(view),
        "rounds": rounds_table(view.cases) if are_evaluated(view.cases) else None,
    }


def render(
    name: str,
    records: Sequence[Record],
    cases: Sequence[CaseResult],
    sections: Sequence[dict[str, Any]],
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
        machine=caption_of(cases),
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
