"""The same records give the same bytes of figures and tables, whatever the user's settings are."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from synthetic import write_lines

from report.figures.style import RC_PARAMS, own_settings
from report.page.page import write_report
from suites.engine.store.records import Record

ROOT = Path(__file__).resolve().parents[2]
OURS = "import sys, run_bench; sys.exit(run_bench.main(sys.argv[1:]))"
USERS = ("MPLBACKEND", "MATPLOTLIBRC", "MPLCONFIGDIR", "LC_ALL", "LANG")
SETTINGS = """
text.usetex: True
font.size: 30
figure.facecolor: red
lines.linewidth: 9
savefig.bbox: tight
savefig.transparent: True
axes.prop_cycle: cycler('color', ['k'])
axes.formatter.use_locale: True
svg.hashsalt: other
"""


@pytest.fixture(scope="module")
def few(records: list[Record]) -> list[Record]:
    """The records of one suite, one of which failed in words beyond ASCII."""
    found = [record for record in records if record["suites"] == ["layers"]]
    failed: Record = {**found[0], "status": "oom", "reason": "zu groß"}
    return [failed, *found[1:]]


def files_of(folder: Path) -> dict[str, bytes]:
    kinds = (".png", ".svg", ".pdf", ".md", ".csv", ".tex")
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.suffix in kinds}


def reported(
    folder: Path, records: list[Record], cwd: Path, **variables: str
) -> "subprocess.CompletedProcess[str]":
    folder.mkdir()
    write_lines(folder, records)
    usual = {name: value for name, value in os.environ.items() if name not in USERS}
    return subprocess.run(
        [sys.executable, "-c", OURS, "report", str(folder)],
        cwd=cwd,
        env={**usual, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def expected(few: list[Record], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("usual")
    done = reported(folder / "run", few, folder)
    assert done.returncode == 0, done.stderr
    return files_of(folder / "run")


ENVIRONMENTS: dict[str, tuple[dict[str, Any], bytes]] = {
    "a notebook": ({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, b""),
    "no such backend": ({"MPLBACKEND": "nonsense"}, b""),
    "a matplotlibrc where we stand": ({}, SETTINGS.encode()),
    "a broken matplotlibrc": ({}, b"\xff\xfe nonsense"),
    "a named matplotlibrc": ({"MATPLOTLIBRC": "{cwd}/config/matplotlibrc"}, SETTINGS.encode()),
    "settings of the user": ({"MPLCONFIGDIR": "{cwd}/config"}, SETTINGS.encode()),
    "a file for a folder": ({"MPLCONFIGDIR": "{cwd}/config/matplotlibrc"}, SETTINGS.encode()),
    "ASCII": ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, b""),
    "decimal commas": ({"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"}, SETTINGS.encode()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_users_settings_have_no_effect(
    few: list[Record], expected: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    variables, settings = ENVIRONMENTS[name]
    (tmp_path / "config").mkdir()
    if settings:
        place = tmp_path if name in list(ENVIRONMENTS)[2:4] else tmp_path / "config"
        (place / "matplotlibrc").write_bytes(settings)
    given = {key: value.format(cwd=tmp_path) for key, value in variables.items()}
    done = reported(tmp_path / "run", few, tmp_path, **given)
    assert done.returncode == 0, done.stderr
    found = files_of(tmp_path / "run")
    assert [key for key in expected if found.get(key) != expected[key]] == []


def test_settings_made_before_have_no_effect(few: list[Record], tmp_path: Path) -> None:
    """A program that has set matplotlib up for itself calls `write_report`."""
    found = []
    for name in ("usual", "changed"):
        (tmp_path / name / "run").mkdir(parents=True)
        write_lines(tmp_path / name / "run", few)
    write_report(tmp_path / "usual" / "run")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "savefig.bbox": "tight"}):
        write_report(tmp_path / "changed" / "run")
        assert matplotlib.rcParams["font.size"] == 30, "and has them back"
    found = [files_of(tmp_path / name) for name in ("usual", "changed")]
    assert found[0] == found[1]
    assert len(found[0]) >= 9


def test_our_settings_are_in_force() -> None:
    with matplotlib.rc_context({"font.size": 30, "figure.facecolor": "red"}), own_settings():
        assert matplotlib.rcParams["figure.facecolor"] == "white"
        assert all(matplotlib.rcParams[name] == value for name, value in RC_PARAMS.items())


def test_a_folder_that_is_gone_is_no_obstacle(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = f"import os; os.rmdir({str(gone)!r}); import report.figures.style"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=gone,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
