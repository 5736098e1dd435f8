"""An unfinished sweep of two suites survives what happens to a project in the meantime."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from suites.engine.code import ROOT

SUITE = """
from suites.base import Suite, grid
from suites.settings import Settings

BASE = Settings(
    length=64, d_model=16, d_ff=32, n_heads=1, n_layers=1, time_budget_s=0.05, max_processes=3,
    train_steps=2, warmup_steps=1, heldout_tokens=64,
)
CASES = grid(BASE, length={lengths})
SUITE = Suite(question="{name}?", varies="length", presets={{"quick": CASES}})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project with two tiny suites in place of its own."""
    for part in ("reformer", "baselines", "suites", "report"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run_bench.py", tmp_path)
    for path in (tmp_path / "suites").glob("*.py"):
        if "\nSUITE = " in path.read_text():
            path.unlink()
    add_suite(tmp_path, "one", [64, 128, 192])
    add_suite(tmp_path, "two", [128, 256])
    return tmp_path


def add_suite(project: Path, name: str, lengths: list[int]) -> None:
    (project / "suites" / f"{name}.py").write_text(SUITE.format(name=name, lengths=lengths))


def start(project: Path, *words: str) -> "subprocess.Popen[str]":
    environment = {k: v for k, v in os.environ.items() if k != "REFORMER_RUNS"}
    return subprocess.Popen(
        [sys.executable, "run_bench.py", *words],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(project: Path, *words: str) -> str:
    process = start(project, *words)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    return out


def finished_jobs(run: Path) -> list[dict[str, Any]]:
    path = run / "jobs.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def kill_after(project: Path, n_jobs: int) -> None:
    """Start the sweep and kill it, as power cuts do, when so many jobs are on disk."""
    process = start(project, "run")
    run, deadline = project / "results/runs/quick", time.monotonic() + 120
    while len(finished_jobs(run)) < n_jobs and time.monotonic() < deadline:
        time.sleep(0.02)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    psutil.wait_procs(family, timeout=5)
    assert len(finished_jobs(run)) >= n_jobs


@pytest.mark.slow
def test_an_unfinished_sweep_survives(project: Path) -> None:
    kill_after(project, 3)
    before = said(project, "status")
    assert "left: " in before
    assert "left: nothing" not in before
    n_before = len(finished_jobs(project / "results/runs/quick"))

    add_suite(project, "three", [320])
    assert said(project, "status") == before, "adding a suite"
    labels = project / "suites/labels.py"
    labels.write_text(labels.read_text().replace('f"length {', 'f"sequence of {'))
    assert said(project, "status") == before, "renaming a label"
    for file in ("report/page/page.py", "suites/engine/sweep/progress.py"):
        with (project / file).open("a") as text:
            text.write("\nUPGRADED = True\n")
    assert said(project, "status") == before, "upgrading the report and the progress"

    out = said(project, "run")
    assert "are made again" not in out, "what was measured counts"
    measured = out.count("] time") + out.count("] memory") + out.count("] quality")
    lines = [line for line in out.splitlines() if "disturbed" in line]
    n_jobs = (4 + 1) * (3 + 1 + 1)
    assert n_jobs - n_before <= measured <= n_jobs - n_before + len(lines)
    assert "left: nothing" in said(project, "status")
    records = (project / "results/runs/quick/records.jsonl").read_text().splitlines()
    assert len(records) == 5
    assert said(project, "report")
