"""What the README and CONTRIBUTING say is true: paths exist, commands parse, the example runs."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import geometric_mean, median

import pytest
from source_files import PACKAGES

import run_bench
from suites.engine.store.records import read_records
from suites.engine.sweep.planning import find_suites

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


ATTENTION = ROOT / "results/reference/cpu-attention"


def medians_ms(record):
    return [median(p["samples_ms"]["step"]) for p in record["time"]["processes"]]


def step_s(record):
    return geometric_mean(medians_ms(record)) / 1e3


def commands(text=README + CONTRIBUTING):
    return [c.strip() for c in re.findall(r"python run_bench\.py ([^#`&\n]+)", text)]


def test_ci_finds_exactly_the_two_commands():
    found = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(found) == 2
    assert "grep '^python3 -m venv' README.md" in (ROOT / ".ci/run").read_text()
    assert all("-c constraints.txt" in line for line in found)


@pytest.mark.parametrize("command", commands())
def test_commands_parse(command):
    for placeholder in ("NAME", "BEFORE", "AFTER"):
        command = command.replace(placeholder, "layers")
    options = run_bench.make_parser().parse_args(shlex.split(command))
    of_recipes = re.findall(r"```python suites/(\w+)\.py", CONTRIBUTING)
    assert set(getattr(options, "suites", [])) <= {*find_suites(), *of_recipes}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project in which the suite that the commands need has run."""
    folder = tmp_path_factory.mktemp("project")
    for part in (*PACKAGES, "results/reference"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("run_bench.py", "LICENSE"):
        shutil.copy(ROOT / file, folder)
    assert call("run hash_rounds --preset quick", folder).returncode == 0
    return folder


def call(command, folder):
    return subprocess.run(
        [sys.executable, "run_bench.py", *shlex.split(command)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_every_command_runs_as_written_after_the_first_one(project):
    section = README[README.index("## Running it") : README.index("## As a library")]
    found = commands(section)
    assert len(found) == 12
    for command in found:
        done = call(command, project)
        # a machine that is not fit for timing, or on which the same twice differs, is an answer too
        expected = (0, 1) if command.split()[0] in ("doctor", "ab") else (0,)
        assert done.returncode in expected, f"{command}\n{done.stdout}\n{done.stderr}"


def test_paths_exist():
    pattern = r"[`(]((?:reformer|baselines|suites|tests|report|results|\.ci)/[\w/.]+)"
    paths = {
        p
        for p in re.findall(pattern, README + CONTRIBUTING)
        if "NAME" not in p and not p.startswith("results/runs")
    }
    assert len(paths) >= 5
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing, f"README.md or CONTRIBUTING.md names {missing}, which are not there"


def test_suites_and_their_questions_are_named():
    for name, suite in find_suites().items():
        assert f"`{name}` | {suite.question}" in README


def test_the_numbers_of_attention_are_those_of_the_records():
    """Means of the medians of processes at 16,384 tokens and 4 rounds, as on the page."""
    found = {}
    for record in read_records(ATTENTION / "records.jsonl"):
        s = record["settings"]
        if s["length"] == 16384 and s.get("n_rounds", 4) == 4 and s["batch"] == 1:
            name = s["attention"], s.get("within_bucket")
            found[name] = step_s(record), round(record["memory"]["rest_bytes"] / 2**20)
    assert len(found) == 6
    shipped, other = found.pop(("reformer-pytorch", None)), found.pop(("transformers", None))
    rows = [f"{seconds:.2g} s | {mib:,} MiB |" for seconds, mib in found.values()]
    rows.append(f"{shipped[0]:.1f} s, {other[0]:.1f} s | {shipped[1]:,} MiB, {other[1]:,} MiB |")
    for row in rows:
        assert f"| {row}" in README


def test_the_growth_and_the_share_of_the_products_are_those_of_the_records():
    """The floor is that of windows computed whole: 2 products forward and 5 backward."""
    found = {
        (s["n_rounds"], s["length"]): step_s(record)
        for record in read_records(ATTENTION / "records.jsonl")
        if (s := record["settings"]).get("within_bucket") and s["batch"] == 1
    }
    text = " ".join(README.split())
    for short, long in ((16384, 65536), (65536, 262144)):
        one, two, four = (f"{found[r, long] / found[r, short]:.1f}" for r in (1, 2, 4))
        assert f"by {one}, {two} and {four} from" in text
    flop = 7 * 2 * 16384 * 4 * 4 * 64 * 128
    rate = json.loads((ATTENTION / "plan.json").read_text())["gflops"] * 1e9
    assert f"ours uses {100 * flop / rate / found[4, 16384]:.0f} % at 16,384 tokens" in text


def test_the_crossovers_are_those_of_the_report():
    rows = (ATTENTION / "table.md").read_text().splitlines()
    crossovers = {
        cells[1]: cells[-2]
        for row in rows
        if len(cells := [cell.strip() for cell in row.split("|")]) == 6 and "(" in cells[-2]
    }
    text = " ".join(README.split())
    assert f"of the published ones transformers is from {crossovers['transformers-4']}," in text
    assert f"reformer-pytorch from {crossovers['reformer-pytorch-4']}, its exact" in text
    loose = crossovers["LSH-4, across buckets, duplicates kept"]
    number, interval = loose.split(" (")
    assert f"from {number} ({interval} tokens on" in text
    for rounds in (1, 2, 4):
        assert crossovers[f"LSH-{rounds}"] == "below the measured range (under 1,024)"


def test_the_crossovers_against_the_papers_full_attention_are_those_of_the_report():
    rows = [row.split(" | ") for row in (ATTENTION / "table.md").read_text().splitlines()]
    header = next(row for row in rows if "faster than dense memory-efficient from" in row)
    found = {row[0].strip("| "): row[3] for row in rows if len(row) == len(header)}
    text = " ".join(README.split())
    assert f"from {found['reformer-pytorch-4']} tokens on (reformer-pytorch)," in text
    assert f"{found['transformers-4']} (transformers) and" in text
    assert f"and {found['reformer-pytorch-exact-4']} (reformer-pytorch, exact)" in text


def test_the_processes_differ_as_said():
    spreads = []
    for record in read_records(ATTENTION / "records.jsonl"):
        if record["settings"]["length"] in (65536, 262144):
            medians = medians_ms(record)
            spreads.append(max(medians) / min(medians) - 1)
    assert f"differ by up to {100 * max(spreads):.0f} % at these lengths" in README


def test_the_numbers_of_training_steps_are_those_of_the_records():
    found, longest = {}, None
    for record in read_records(ROOT / "results/reference/cpu-million/records.jsonl"):
        s, memory = record["settings"], record["memory"]
        if s["length"] == 16384 and s.get("n_rounds", 4) == 4:
            found[s["attention"]] = step_s(record), round(memory["rest_bytes"] / 2**20)
        if s["length"] == 2**20:
            resident = (memory["baseline_bytes"] + memory["rest_bytes"]) / 2**30
            longest = f"takes {step_s(record) / 60:.1f} minutes and {resident:.1f} GiB of resident"
    assert len(found) == 4
    assert longest in " ".join(README.split())
    shipped, other = found.pop("reformer-pytorch"), found.pop("transformers")
    rows = [f"{seconds:.2g} s | {mib:,} MiB |" for seconds, mib in found.values()]
    rows.append(f"{shipped[0]:.2g} s, {other[0]:.2g} s | {shipped[1]:,} MiB, {other[1]:,} MiB |")
    for row in rows:
        assert f"| {row}" in README
