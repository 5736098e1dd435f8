"""What the README and CONTRIBUTING say is true: paths exist, commands parse, the example runs."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from source_files import PACKAGES

import run_bench
from report.claims.answers import answers_table
from report.claims.check import judge, records_under
from report.claims.claim import read_claims
from report.tables.markup import to_markdown
from suites.engine.sweep.cards import predicted_crossover, time_model
from suites.engine.sweep.planning import find_suites
from suites.settings import change

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


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
    pattern = r"[`(]((?:reformer|baselines|suites|tests|report|results|\.ci)/[\w/.-]+)"
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


def test_what_is_not_measured_is_named():
    found = {s for record in records_under([ROOT / "results/reference"]) for s in record["suites"]}
    told = re.search(r"Not measured at `cpu` yet: ([^.]*)\.", README)
    named = set(re.findall(r"`(\w+)`", told[1])) if told else set()
    assert named == set(find_suites()) - found


def test_the_answers_are_those_of_the_records():
    """They are what `run_bench.py check --table` prints."""
    found = judge(read_claims(), records_under([ROOT / "results/reference"]))
    assert to_markdown(answers_table(found)) in README


def test_what_it_says_of_a_gpu_is_what_the_records_say():
    text = " ".join(README.split())
    said = text[text.index("**On one GPU**") : text.index("A model of bytes")]
    found = judge(read_claims(), records_under([ROOT / "results/reference"]))
    told = [one.value.removesuffix(" tokens") for one in found if "NVIDIA H200" in one.mark]
    assert len(told) == 12
    assert all(value in said for value in told), told


def test_what_it_says_of_pictures_is_what_the_records_say():
    text = " ".join(README.split())
    said = text[text.index("**On pictures**") :][:500]
    records = records_under([ROOT / "results/reference"])
    found = [one for one in judge(read_claims(), records) if "on pictures" in one.claim.name]
    assert [one.value in said for one in found] == [True, False], found
    of_pictures = [r["quality"] for r in records if "hash_rounds_pictures" in r["suites"]]
    lowest = min(one["bits_per_dim"] for one in of_pictures)
    counted = of_pictures[0]["data"]["reference"]["left pixel and colours before"]
    assert "none of the models does better than counting" in said
    assert counted < lowest


def test_what_it_says_of_table_2_is_what_the_records_say():
    said = " ".join(README.split())
    said = said[said.index("**Table 2**") : said.index("Measured on two")]
    found = judge(read_claims(), records_under([ROOT / "results/reference"]))
    told = [one for one in found if one.claim.name.startswith("in buckets of")]
    assert [one.value in said for one in told] == [True, False, True, True, True, True], told
    assert all(re.search(r"paper: ([\d.]+ %)", one.claim.says)[1] in said for one in told[2:])
    rows = [re.findall(r"% \(([\d,]+)\)", row) for row in said.split(" | |")]
    steps = {
        (s.get("n_rounds", "full"), s.get("bucket_size", 32)): s["train_steps"]
        for record in records_under([ROOT / "results/reference/cpu"])
        if "duplication_buckets" in record["suites"]
        for s in [record["settings"]]
    }
    expected = [[f"{steps[n, size]:,}" for size in (8, 32)] for n in ("full", 4, 1)]
    assert [row for row in rows if row] == expected


def test_the_predicted_crossover_is_the_models_and_called_a_prediction():
    calls = [case.settings for case in find_suites()["attention_length"].cases("gpu")]
    ours = next(
        s
        for s in calls
        if (s.attention, s.n_rounds, s.precision, s.kernel) == ("lsh", 4, "bfloat16", "auto")
    )
    length = predicted_crossover(time_model("h100", 1.0), ours, change(ours, attention="sdpa"))
    said = re.search(r"from ([\d,]+) tokens on: a\s+prediction, no measurement", README)
    assert said and said[1] == f"{length:,}"
