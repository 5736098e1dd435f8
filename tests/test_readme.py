"""What the README and CONTRIBUTING say is true: paths exist, commands parse, the example runs."""

import re
import shlex
from pathlib import Path
from statistics import median

import pytest
import torch

import run_bench
from suites.engine.planning import find_suites
from suites.records import read_records

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def commands():
    return re.findall(r"python run_bench\.py ([^#`&\n]+)", README + CONTRIBUTING)


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
    assert set(getattr(options, "suites", [])) <= set(find_suites())


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
    """Medians over all samples at 16,384 tokens and 4 rounds, as in the table of the page."""
    folder = ROOT / "results/reference/cpu-attention"
    found = {}
    for record in read_records(folder / "records.jsonl"):
        s = record["settings"]
        if s["length"] == 16384 and s.get("n_rounds", 4) == 4 and s["batch"] == 1:
            name = s["attention"], s.get("within_bucket")
            processes = record["time"]["processes"]
            samples = [ms for process in processes for ms in process["samples_ms"]["step"]]
            found[name] = median(samples) / 1e3, round(record["memory"]["rest_bytes"] / 2**20)
    assert len(found) == 6
    shipped, other = found.pop(("reformer-pytorch", None)), found.pop(("transformers", None))
    rows = [f"{seconds:.2g} s | {mib:,} MiB |" for seconds, mib in found.values()]
    rows.append(f"{shipped[0]:.1f} s, {other[0]:.1f} s | {shipped[1]:,} MiB, {other[1]:,} MiB |")
    for row in rows:
        assert f"| {row}" in README


def test_the_library_example_runs():
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    tokens = torch.randint(256, (1, 128), generator=torch.Generator().manual_seed(0))
    qk, v = torch.randn(2, 1, 2, 64, 8, generator=torch.Generator().manual_seed(0))
    names = {"tokens": tokens, "targets": tokens, "qk": qk, "v": v}
    exec(code, names)
    assert names["out"].shape == qk.shape
    assert names["nats"].isfinite()
