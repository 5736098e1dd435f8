"""Do what the commands report and compare of run_bench.py ask for.

Each function takes the parsed options and returns an exit code. No torch.
"""

from argparse import Namespace
from collections.abc import Callable, Container
from pathlib import Path

from report.claims.answers import answers_table
from report.claims.check import exit_code, judge, lines_of, records_under
from report.claims.claim import read_claims
from report.compare.ablation import compare_by
from report.compare.benchmark_json import compare_benchmarks, is_benchmark_json
from report.compare.paired import paired_ratios
from report.compare.runs import band_of, compare_runs
from report.figures.cost import write_ablation
from report.page.page import write_overview, write_report
from report.tables.markup import to_markdown
from suites.engine.store.names import expanded
from suites.engine.store.runs import ROOT, RunFolder, find_run, shorten

REFERENCE = ROOT / "results" / "reference"


def report(options: Namespace) -> int:
    """Write tables, figures and index.html of each run that is named, or of the last run.

    A folder of runs gets one page over all of them besides.
    """
    for name in options.names or [None]:
        if name is not None and any(_folder_of(name).glob("*/records.jsonl")):
            overview = _folder_of(name)
            written = write_overview(overview)
            print(f"{len(written)} files; open {shorten(overview / 'index.html')}")
            continue
        folder = find_run(name)
        written = write_report(folder.path, options.mixed, options.style)
        print(
            f"run {folder.name}: {len(written)} files; open {shorten(folder.path / 'index.html')}"
        )
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
        found = compare_benchmarks(Path(names[0]), Path(names[1]), options.mixed, band)
    else:
        before, after = (find_run(name).records() for name in names)
        found = compare_runs(before, after, mixed=options.mixed, band=band)
    print(found.markdown())
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
    print(found.markdown())
    return found.exit_code


def compare_levels(folder: RunFolder, options: Namespace) -> int:
    """Print the ablation of a setting and write it beside the run's report."""
    found = compare_by(folder.records(), options.by, mixed=options.mixed)
    print(found.markdown())
    for path in write_ablation(found, folder.path):
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


def _folder_of(name: str) -> Path:
    folder = expanded(name)
    has_runs = any(folder.glob("*/records.jsonl"))
    return folder if has_runs else find_run(name).path


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "report": report,
    "compare": compare,
    "check": check,
}
