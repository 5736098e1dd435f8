"""What `.ci/gpu` asks for, step by step, and which files it carries to and fro."""

import os
import subprocess
from pathlib import Path

import pytest
from source_files import ROOT

IGNORED = "--ignore-glob=tests/test_triton*"
STAND_IN = """#!/usr/bin/env bash
case $1 in - | -c) exit 0 ;; esac
echo "PYTHONPATH=$PYTHONPATH $*" >> {log}
[ "$2" = run ] || exit 0
mkdir -p results/runs/mine/logs
echo measured >> results/runs/mine/records.jsonl
"""


class Script:
    """`.ci/gpu` alone in a folder, with a stand-in for Python that keeps what it is asked."""

    def __init__(self, root: Path) -> None:
        self.root, self.log, self.python = root, root / "asked.txt", root / "python"
        (root / ".ci").mkdir()
        (root / ".ci/gpu").write_bytes((ROOT / ".ci/gpu").read_bytes())
        self.python.write_text(STAND_IN.format(log=self.log))
        for file in (".ci/gpu", "python"):
            (root / file).chmod(0o755)

    def asked(self, *words: str, **variables: str) -> list[str]:
        """Run it, and return the command lines that it ran."""
        others = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self.log.write_text("")
        subprocess.run(
            [self.root / ".ci/gpu", *words],
            env={**others, "PYTHON": str(self.python), "RUN": "mine", **variables},
            check=True,
        )
        return self.log.read_text().splitlines()


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.mark.parametrize("files", [{"plan.json", "records.jsonl", "jobs.jsonl"}, {"plan.json"}])
def test_a_committed_run_goes_on_with_all_that_it_has(script: Script, files: set[str]) -> None:
    committed = script.root / "results/reference/mine"
    committed.mkdir(parents=True)
    for name in files:
        (committed / name).write_text("committed\n")
    script.asked("out", "calls")
    for name in files:
        assert (script.root / "out/mine" / name).read_text().startswith("committed\n")


def test_the_run_that_was_measured_stays_where_it_is(script: Script) -> None:
    for folder in ("results/runs", "out", "out"):
        script.asked(folder, "calls")
    for folder in ("results/runs", "out"):
        assert (script.root / folder / "mine/records.jsonl").read_text() == "measured\n" * 3
    assert (script.root / "results/runs/mine/logs").exists()
    assert not (script.root / "out/mine/logs").exists()


def test_no_job_takes_as_long_as_a_step_may(script: Script) -> None:
    """One that hangs would be interrupted and begun again by each call."""
    (line,) = script.asked("out", "calls")
    assert " --timeout 400 " in line
    (line,) = script.asked("out", "calls", TIMEOUT="100")
    assert " --timeout 100 " in line


def test_the_checkout_is_found_where_it_is_not_installed(script: Script) -> None:
    (line,) = script.asked("out", "profile")
    assert line.startswith(f"PYTHONPATH={script.root} ")
    (line,) = script.asked("out", "profile", PYTHONPATH="/elsewhere")
    assert line.startswith(f"PYTHONPATH={script.root}:/elsewhere ")


def test_the_tests_of_the_kernel_come_before_those_that_compile_for_minutes(script: Script) -> None:
    first, *others = script.asked("out", "tests")
    assert "tests/test_triton" in first
    assert all("tests/test_triton" not in line.replace(IGNORED, "") for line in others)
    assert IGNORED in others[-1]
