"""The sources that the tests of the structure read."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("reformer", "baselines", "suites", "report")


def python_files(*folders):
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert found, f"no files in {folders}"
    return sorted([*found, ROOT / "run_bench.py"])


def name_of(path):
    return path.relative_to(ROOT).as_posix()
