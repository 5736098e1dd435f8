"""Do what the commands report and compare of run_bench.py ask for.

Each function takes the parsed options and returns an exit code. No torch.
"""

from argparse import Namespace
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from report.claims.answers import answers_table
from report.claims.check import exit_code, judge, lines_of, records_under, runs_in
from report.claims.claim import read_claims
from report.compare.ablation import compare_by
from report.compare.benchmark_json import compare_benchmarks, is_benchmark_json
from report.compare.paired import paired_ratios
from report.compare.runs import band_of, compare_runs
from report.figures.cost import write_ablation
from report.page.page import BANNER, write_overview, write_report
from report.tables.markup import to_markdown
from suites.engine.store.names import expanded
from suites.engine.store.runs import ROOT, RUNS, RunFolder, find_run, shorten
from suites.engine.terminal import table_text, width_of_terminal, wrapped

REFERENCE = ROOT / "results" / "reference"


def report(options: Namespace) -> int:
    """Write tables, figures and index.html of a run, the last if none is named.

    What each suite found is printed. Several runs, and a folder of runs, get one page over all of
    them, with each run's own besides.
    """
    named = [*dict.fromkeys(_folder_of(name).resolve() for name in options.names)]
    runs = [*dict.fromkeys(run for folder in named for run in runs_in(folder))]
    if len(named) > 1 or runs != named:
        overview = (named[0] if len(named) == 1 else RUNS) / "index.html"
        with _told(overview.parent):
            written = write_overview(runs, overview, options.mixed, options.style)
        print(f"{len(written)} files; open {shorten(overview)}")
        return 0
    folder = find_run(options.names[0] if options.names else None)
    with _told(folder.path):
        reported = write_report(folder.path, options.mixed, options.style)
    width = width_of_terminal()
    print(table_text(("suite", "what it found"), reported.findings, width))
    if reported.is_quick:
        print(f"{wrapped(BANNER, width)}\n")
    page = shorten(folder.path / "index.html")
    print(f"run {folder.name}: {len(reported.paths)} files; open {page}")
    return 0


def compare(options: Namespace) -> int:
    """Compare two runs, two files of pytest-benchmark, or, with --by, the levels of a setting.

    The exit code is 1 where something got worse. Raises ValueError on a wrong number or mix of
    names.
    """
    names = options.names
    if options.by is not None:
        if len(names) > 1:
            raise ValueError(f"compare --by takes one run, {len(names)} were named")
        if options.threshold is not None:
            raise ValueError(
                "compare --threshold goes with two runs; with --by, a change counts from 3 % on"
            )
        return compare_levels(find_run(names[0] if names else None), options)
    if len(names) != 2:
        raise ValueError(
            f"compare takes two runs, {len(names)} were named; or one run and --by SETTING"
        )
    band = band_of(options.threshold)
    n_files = sum(map(is_benchmark_json, names))
    if n_files == 1:
        raise ValueError("compare takes two runs or two .json files, not one of each")
    if n_files:
        found = compare_benchmarks(expanded(names[0]), expanded(names[1]), options.mixed, band)
    else:
        before, after = (find_run(name).records() for name in names)
        found = compare_runs(before, after, mixed=options.mixed, band=band)
    print(found.text(width_of_terminal()))
    return found.exit_code


def compare_pair(before: RunFolder, after: RunFolder, cases: Container[str]) -> int:
    """Compare two runs that were measured in turns, in some of their cases; return the exit code.

    Times are compared process by process. What the versions differ in is told: they are of code of
    one's own, which may be what was changed.
    """
    old, new = (
        [record for record in run.records() if record["case"] in cases] for run in (before, after)
    )
    found = compare_runs(old, new, mixed=True, ratios=paired_ratios(old, new))
    print(found.text(width_of_terminal()))
    return found.exit_code


def compare_levels(folder: RunFolder, options: Namespace) -> int:
    """Print the ablation of a setting and write it beside the run's report."""
    found = compare_by(folder.records(), options.by, mixed=options.mixed)
    print(found.text(width_of_terminal()))
    with _told(folder.path):
        written = write_ablation(found, folder.path)
    for path in written:
        print(shorten(path))
    return 0


def check(options: Namespace) -> int:
    """Judge the claims by the records of runs, or of folders of runs; without any the reference.

    The exit code is 1 if a claim fails, else 2 if one is inconclusive.
    """
    folders = [_folder_of(name) for name in options.names] or [REFERENCE]
    found = judge(read_claims(), records_under(folders))
    print(to_markdown(answers_table(found)) if options.table else "\n".join(lines_of(found)))
    return exit_code(found)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Say of a file that cannot be read or written which it is, what is kept and what to do."""
    try:
        yield
    except OSError as error:
        if isinstance(error, BrokenPipeError) or not error.strerror:
            raise
        which = f"{error.filename}: " if error.filename else ""
        raise OSError(
            f"cannot write the report into {folder}: {which}{error.strerror}; what was "
            "measured is kept; make room there and its files readable and writable, or report a "
            "copy of the folder"
        ) from error


def _folder_of(name: str) -> Path:
    folder = expanded(name)
    return folder if runs_in(folder) != [folder] else find_run(name).path


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "report": report,
    "compare": compare,
    "check": check,
}
