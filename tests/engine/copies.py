"""Copies of the project with a tiny suite are run by path, from anywhere, as people do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUITE = """
from suites.base import Suite, grid
from suites.settings import Settings

BASE = Settings(
    length=64, d_model=16, d_ff=32, n_heads=1, n_layers=1, time_budget_s=0.05, processes=1,
    max_processes=1, measures=("time",),
)
SUITE = Suite(question="Small?", varies="length", presets={"quick": grid(BASE, length=[64])})
"""
PLACES = ("REFORMER_RUNS", "PYTHONPATH", "PYTHONSAFEPATH")


def copy_project(folder: Path) -> Path:
    """Copy the project, with one tiny suite in place of its own, into a folder."""
    for part in ("reformer", "baselines", "suites", "report"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run_bench.py", folder)
    for path in (folder / "suites").glob("*.py"):
        if "\nSUITE = " in path.read_text():
            path.unlink()
    (folder / "suites" / "small.py").write_text(SUITE)
    return folder


def run_by_path(
    project: Path, *words: str, cwd: Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run run_bench.py of a project by its path, from another folder."""
    usual = {name: value for name, value in os.environ.items() if name not in PLACES}
    return subprocess.run(
        [sys.executable, str(project / "run_bench.py"), *words],
        cwd=cwd,
        env={**usual, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
