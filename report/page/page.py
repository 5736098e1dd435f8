"""The report of a run: tables, figures and index.html, written into the run folder."""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment

from baselines.config import DIFFERENCES
from report.figures.of_suite import draw_suite
from report.findings import suite_finding
from report.page.page_template import PAGE
from report.reading.captions import caption_of, stand_in_text
from report.reading.cases import CaseResult, code_of, gather, load_run, samples_of, suite_names
from report.reading.measures import MEASURES
from report.reading.series import View, view_of
from report.statistics.samples import outliers
from report.statistics.seeds import MIN_SEEDS
from report.tables.cases_table import suite_table, write_tables
from report.tables.evaluated_with_table import evaluated_cases, rounds_table
from report.tables.markup import to_markdown
from report.tables.scaling_table import scaling_table
from report.text import bytes_text, off_text, plural
from suites.engine.store.records import Record

FIGURES = "figures"


def write_report(run_folder: Path, mixed: bool = False) -> list[Path]:
    """Write table.csv, table.md, table.tex, figures/ and index.html into the run folder; their
    paths.

    Raises ValueError if there are no records, or if they are of different identity and not `mixed`.
    """
    folder = Path(run_folder)
    records = load_run(folder)
    cases = gather(records, mixed)
    paths = write_tables(records, cases, folder, f"Run {folder.name}")
    views = [view_of(name, cases) for name in suite_names(cases)]
    sections = []
    for view in views:
        drawn = draw_suite(view, folder / FIGURES)
        paths += drawn
        sections.append(section(view, drawn))
    with (folder / "table.md").open("a") as file:
        for part in sections:
            for name in ("scaling", "rounds"):
                if part[name] is not None:
                    file.write(
                        f"\n## {part['name']}: {TABLE_TITLES[name]}\n\n{to_markdown(part[name])}"
                    )
    page = folder / "index.html"
    page.write_text(render(folder.name, records, cases, sections))
    return [*paths, page]


TABLE_TITLES = {
    "scaling": "how it scales",
    "rounds": "trained with (rows), evaluated with (columns)",
}


def section(view: View, drawn: Sequence[Path]) -> dict[str, Any]:
    """What the page shows of a suite."""
    told = [m for m in MEASURES if any(MEASURES[m](case) is not None for case in view.cases)]
    rounds = evaluated_cases(view.cases)
    return {
        "name": view.name,
        "question": view.question,
        "findings": [suite_finding(view, measure) for measure in told],
        "figures": [path.stem for path in drawn if path.suffix == ".png"],
        "table": suite_table(view.cases),
        "scaling": scaling_table(view),
        "rounds": rounds_table(rounds) if rounds else None,
    }


def render(
    name: str,
    records: Sequence[Record],
    cases: Sequence[CaseResult],
    sections: Sequence[dict[str, Any]],
) -> str:
    """The page as HTML; figures are linked relatively, everything else is inside."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    failed = [(case.label, *case.failure) for case in cases if case.failure[0]]
    return environment.from_string(PAGE).render(
        name=name,
        machine=caption_of(cases),
        sections=sections,
        failed=failed,
        caveats=caveats(records, cases),
        n_cases=len(cases),
        n_records=len(records),
        figures=FIGURES,
        table_titles=TABLE_TITLES,
        version=_version(),
    )


def caveats(records: Sequence[Record], cases: Sequence[CaseResult]) -> list[str]:
    """What a reader must know before believing the numbers, as far as the records tell."""
    found = [
        "Times of few processes have wide intervals: a difference not seen may still be there."
    ]
    stand_ins = stand_in_text(records)
    if stand_ins:
        found.append(stand_ins)
    n_few = sum(0 < len(case.quality()) < MIN_SEEDS for case in cases)
    if n_few:
        found.append(
            f"{plural(n_few, 'case')} rest on fewer than {MIN_SEEDS} seeds: that is no claim about "
            "their bits per dim, and one seed has no interval."
        )
    found += timing_caveats(records)
    if any((r.get("memory") or {}).get("method") == "sampled" for r in records):
        found.append("Peak memory was sampled every millisecond: shorter spikes may be missing.")
    if any((record.get("code") or {}).get("dirty") for record in records):
        found.append("Measured with uncommitted changes: the commit does not tell the code.")
    coded = [record for record in records if record.get("code")]
    if len({record["code"].get("hash") for record in coded}) > 1:
        found.append(f"MIXED CODE: measured with {'; '.join(dict.fromkeys(map(code_of, coded)))}.")
    peers = dict.fromkeys(str(case.settings.get("attention")) for case in cases)
    found += [f"{peer}, {DIFFERENCES[peer]}." for peer in peers if peer in DIFFERENCES]
    if any(case.mark for case in cases):
        found.append(
            "MIXED: records of different machines, versions or methods stand side by side."
        )
    for case in cases:
        if case.mispredicted is not None:
            found.append(
                f"{case.label}: the predicted peak of {bytes_text(case.memory('predicted_bytes'))} "
                f"is {off_text(case.mispredicted)}; live tensors took "
                f"{bytes_text(case.memory('live_peak_bytes'))}."
            )
    return found


def timing_caveats(records: Sequence[Record]) -> list[str]:
    """How far the timings can be trusted: foreign load, unsteadiness, single samples, outliers."""
    found = []
    processes = [p for r in records for p in (r.get("time") or {}).get("processes") or []]
    samples = [one for record in records for one in samples_of(record, "step")]
    for word, n in (
        (
            "disturbed by other work on the machine",
            sum(bool(p.get("disturbed")) for p in processes),
        ),
        ("not steady when sampling began", sum(p.get("steady") is False for p in processes)),
        ("timed once only, which is no measurement", sum(len(one) == 1 for one in samples)),
    ):
        if n:
            found.append(f"{n} of {len(processes)} timed processes were {word}.")
    n_outliers = sum(len(outliers(one)) for one in samples)
    if n_outliers:
        found.append(
            f"{n_outliers} of {sum(map(len, samples))} timings of a step are outliers of their "
            "process (beyond Tukey's fences); they count like all others."
        )
    return found


def _version() -> str:
    try:
        return metadata.version("reformer-bench")
    except metadata.PackageNotFoundError:
        return ""
