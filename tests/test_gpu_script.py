"""`.ci/gpu`, which waits for a day with a GPU, runs to its end without one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from source_files import ROOT

PIECES = ["tests", "doctor", "calls", "profile"]
STEPS = ["tests_triton", "tests_engine", *PIECES]


@pytest.mark.slow
def test_its_pieces_run_on_the_cpu(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    names = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        if not name.startswith("results/") and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
            (copy / name).chmod((ROOT / name).stat().st_mode)
    variables = {"PYTHON": sys.executable, "DEVICE": "cpu", "PRESET": "quick", "LINES_SHOWN": "99"}
    variables |= {"RUN": "mine", "WHERE": "length=256 attention=lsh attention=sdpa"}

    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(*pieces: str) -> str:
        done = subprocess.run(
            [copy / ".ci/gpu", tmp_path / "out", *pieces],
            env={**inherited, **variables},
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr

    said = run(*PIECES)
    assert "Traceback" not in said
    assert "missing packages" not in said
    for piece in STEPS:
        # pytest says 5 where all that it was asked for cannot run here; doctor, that it is noisy
        allowed = (0, 5) if piece.startswith("tests") else (0, 1) if piece == "doctor" else (0,)
        assert any(f"{piece}: exit code {code} after" in said for code in allowed), said
    lines = (tmp_path / "out/mine/records.jsonl").read_text().splitlines()
    settings = [json.loads(line)["settings"] for line in lines]
    assert {(s["attention"], s["length"]) for s in settings} == {("lsh", 256), ("sdpa", 256)}
    (copy / "results/reference").mkdir()
    (copy / "results/runs/mine").rename(copy / "results/reference/mine")
    assert "0 records are new" in run("calls")  # it goes on with what was committed


@pytest.mark.parametrize(
    ("piece", "run", "said"),
    [("speed", "", "unknown piece: speed"), ("calls", "a/b", "not a path: a/b")],
)
def test_what_it_cannot_do_is_named(tmp_path: Path, piece: str, run: str, said: str) -> None:
    done = subprocess.run(
        [ROOT / ".ci/gpu", tmp_path, piece],
        env={**os.environ, "PYTHON": sys.executable, "RUN": run},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert said in done.stderr
