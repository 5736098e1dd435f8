"""Two sweeps at once on one machine would time each other: the second waits and says for whom."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest
from copies import copy_project, run_by_path

from suites.engine.store import turns

ROOT = Path(__file__).resolve().parents[2]
HOLD = (
    "import time\nfrom suites.engine.store.turns import own_turn\n"
    "with own_turn('first'):\n    print('mine', flush=True)\n    time.sleep({seconds})\n"
)


def start(lock: Path, seconds: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLD.format(seconds=seconds)],
        cwd=ROOT,
        env={**os.environ, "REFORMER_LOCK": str(lock)},
        stdout=subprocess.PIPE,
        text=True,
    )


def line_of(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()


def test_the_second_waits_and_says_for_whom(tmp_path: Path) -> None:
    first = start(tmp_path / "lock", 60)
    assert line_of(first.stdout) == "mine"
    second = start(tmp_path / "lock", 0)
    said = line_of(second.stdout)
    assert said.startswith(f"waiting: process {first.pid}, run 'first' of {ROOT}, measures")
    first.kill()
    first.communicate()
    assert line_of(second.stdout) == "mine", "a killed one leaves no lock"
    second.communicate()


def test_ctrl_c_ends_the_wait(tmp_path: Path) -> None:
    first = start(tmp_path / "lock", 60)
    assert line_of(first.stdout) == "mine"
    second = start(tmp_path / "lock", 0)
    assert line_of(second.stdout).startswith("waiting")
    second.send_signal(signal.SIGINT)
    assert "mine" not in second.communicate(timeout=20)[0]
    first.kill()
    first.communicate()


@pytest.mark.parametrize("place", ["a folder", "nowhere", "a link"])
def test_a_lock_that_cannot_be_is_refused_or_done_without(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    (tmp_path / "a folder").mkdir()
    (tmp_path / "target").write_text("precious")
    (tmp_path / "a link").symlink_to(tmp_path / "target")
    where = tmp_path / place / "x" if place == "nowhere" else tmp_path / place
    monkeypatch.setenv("REFORMER_LOCK", str(where))
    with pytest.raises(ValueError, match=r"REFORMER_LOCK is .* cannot be opened"):
        turns.own_turn("run").__enter__()
    monkeypatch.delenv("REFORMER_LOCK")
    monkeypatch.setattr(turns, "_places", lambda: [where])
    with turns.own_turn("run"):
        pass
    assert "there is no place for a lock" in capsys.readouterr().out
    assert (tmp_path / "target").read_text() == "precious"


def test_all_jobs_of_a_batch_system_share_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFORMER_LOCK")
    monkeypatch.setattr(turns.tempfile, "tempdir", "/job/7")
    assert [str(path.parent) for path in turns._places()] == ["/tmp", "/job/7"]


@pytest.mark.slow
def test_two_runs_of_two_checkouts_measure_one_after_the_other(tmp_path: Path) -> None:
    one, lock = copy_project(tmp_path / "one"), str(tmp_path / "lock")
    holder = start(tmp_path / "lock", 8)
    assert line_of(holder.stdout) == "mine"
    began = time.monotonic()
    plain = run_by_path(one, "run", "--dry-run", cwd=tmp_path, REFORMER_LOCK=lock)
    assert "waiting" not in plain.stdout
    done = run_by_path(one, "run", cwd=tmp_path, REFORMER_LOCK=lock)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("waiting: process ") or time.monotonic() - began > 8
    holder.communicate()
