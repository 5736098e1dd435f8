"""The commit in a record is our own repository's, whatever else git could be asked about."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from suites.engine.code import code_hash, code_state

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
NAMES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_CEILING_DIRECTORIES")


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@y")
    command = ["git", "-C", str(folder), *who, *words]
    usual = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=usual)
    return done.stdout.strip()


def repository(folder: Path, file: str) -> str:
    """Make a repository with one commit of one file, and return the commit."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text("x = 1\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], dict[str, object]]:
    """Return code_state without its memory, in an environment without git's variables."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("suites.engine.code.MEASURED_CODE", ("reformer",))
    return lambda root: dict(code_state.__wrapped__("cpu", root))


def test_our_own_commit_is_told(tmp_path: Path, state: Callable) -> None:
    commit = repository(tmp_path, "reformer/a.py")
    assert state(tmp_path) == {"commit": commit, "dirty": False, "hash": code_hash("cpu", tmp_path)}


def test_sources_inside_another_repository_have_no_commit(tmp_path: Path, state: Callable) -> None:
    repository(tmp_path, "ours/reformer/a.py")
    (tmp_path / "ours/reformer/a.py").write_text("x = 2\n")
    assert state(tmp_path / "ours")["commit"] == ""
    assert state(tmp_path / "ours")["dirty"] is False


@pytest.mark.parametrize("name", NAMES[:4])
def test_variables_that_point_elsewhere_have_no_effect(
    tmp_path: Path, state: Callable, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    commit, elsewhere = repository(ours, "reformer/a.py"), repository(other, "b.py")
    assert commit != elsewhere
    place = {"GIT_WORK_TREE": other, "GIT_INDEX_FILE": other / ".git/index"}
    monkeypatch.setenv(name, str(place.get(name, other / ".git")))
    assert state(ours) == {"commit": commit, "dirty": False, "hash": code_hash("cpu", ours)}


def test_variables_give_no_commit_to_sources_outside_git(
    tmp_path: Path, state: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(tmp_path / "other", "b.py")
    (tmp_path / "ours" / "reformer").mkdir(parents=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "ours"))
    assert state(tmp_path / "ours")["commit"] == ""


def test_a_new_source_is_a_change_whatever_the_users_settings(
    tmp_path: Path, state: Callable
) -> None:
    repository(tmp_path, "reformer/a.py")
    git(tmp_path, "config", "status.showUntrackedFiles", "no")
    (tmp_path / "reformer" / "b.py").write_text("y = 2\n")
    assert state(tmp_path)["dirty"] is True


@pytest.mark.parametrize("refused", ["all", "status"])
def test_what_git_refuses_to_tell_is_not_taken_for_clean(
    tmp_path: Path, state: Callable, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """A folder of another owner (safe.directory), no git, or a status that takes too long."""
    commit, real = repository(tmp_path, "reformer/a.py"), shutil.which("git")
    stand_in = tmp_path / "bin" / "git"
    stand_in.parent.mkdir()
    test = 'case "$*" in *status*) exit 128;; esac' if refused == "status" else "exit 128"
    stand_in.write_text(f'#!/bin/sh\n{test}\nexec {real} "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    found = state(tmp_path)
    expected = ("", False) if refused == "all" else (commit, True)
    assert (found["commit"], found["dirty"]) == expected
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert state(tmp_path)["commit"] == ""


def test_a_checkout_that_nobody_may_write_to_is_read(tmp_path: Path, state: Callable) -> None:
    commit = repository(tmp_path, "reformer/a.py")
    os.utime(tmp_path / "reformer/a.py", (1, 1))
    index = (tmp_path / ".git/index").read_bytes()
    assert state(tmp_path)["commit"] == commit
    assert (tmp_path / ".git/index").read_bytes() == index, "asking writes nothing"
