"""A Python that is too old is told so in one sentence, before it stumbles over anything."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "run_bench.py"
OLD = ("3.6", "3.7", "3.8", "3.9", "3.10")


def assert_told(done: "subprocess.CompletedProcess[str]", version: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"run_bench.py: this is Python {version}, and Python 3.11 or newer")


@pytest.mark.parametrize("version", OLD)
def test_the_check_comes_before_anything_else(version: str) -> None:
    numbers = tuple(map(int, version.split(".")))
    program = (
        f"import runpy, sys; sys.version_info = (*{numbers}, 0, 'final', 0); "
        f"sys.argv = ['run_bench.py', 'list']; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    assert_told(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True), version
    )


@pytest.mark.parametrize("version", OLD[1:])
def test_an_older_python_can_read_the_file_with_the_check(version: str) -> None:
    major, minor = map(int, version.split("."))
    ast.parse(SCRIPT.read_text(), feature_version=(major, minor))


@pytest.mark.parametrize("version", OLD)
def test_a_real_old_python_is_told(version: str) -> None:
    name = f"python{version}"
    python = shutil.which(name)
    works = python and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0
    if not works:
        pytest.skip(f"there is no {name} here")
    assert_told(
        subprocess.run([str(python), str(SCRIPT), "list"], capture_output=True, text=True), version
    )
