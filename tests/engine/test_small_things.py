"""Small things are as a person would expect: folders, names, streams and terminals."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import planted
import pytest
from copies import copy_project, run_by_path
from sweeps import Measure, plan_of

import run_bench
from suites.engine import commands
from suites.engine.store import lines, runs
from suites.engine.store.plan import extend
from suites.engine.store.runs import RunFolder, all_runs
from suites.engine.sweep import progress

ROOT = Path(__file__).resolve().parents[2]
HEALTHY = planted.settings_for(planted.HEALTHY)


def runs_of(value: str, cwd: Path) -> str:
    program = "from suites.engine.store import runs; print(runs.RUNS)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        env={**os.environ, "REFORMER_RUNS": value, "HOME": "/home/me", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_where_runs_lie(tmp_path: Path) -> None:
    assert runs_of("", tmp_path) == str(ROOT / "results/runs")
    assert runs_of("~/runs", tmp_path) == "/home/me/runs"
    assert runs_of("~no-such-user/runs", tmp_path) == f"{tmp_path}/~no-such-user/runs"
    assert runs_of("mine", tmp_path) == f"{tmp_path}/mine"


@pytest.fixture
def measured(measure: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Measure one run, which lies where all runs lie."""
    folder, _ = measure(plan_of([HEALTHY]))
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    return folder


def test_what_lies_among_the_runs_and_is_none(
    measured: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("a plain file")
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash/plan.json").write_bytes(measured.plan_path.read_bytes())
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/plan.json").write_text('{"format": 2}')
    (tmp_path / "newer").mkdir()
    newer = json.loads(measured.plan_path.read_text()) | {"format": 9, "seeds": "of a later kind"}
    (tmp_path / "newer/plan.json").write_text(json.dumps(newer))
    (tmp_path / "folder/plan.json").mkdir(parents=True)
    (tmp_path / "folder/copy.json").symlink_to("gone")
    assert run_bench.main(["list"]) == 0
    said = capsys.readouterr()
    assert "run test: preset quick, 1 of 1 cases done" in said.out
    assert len(said.err.splitlines()) == 3
    assert "newer/plan.json has format 9, this version reads up to 2; update" in said.err
    assert ".trash" not in said.err + said.out
    assert {folder.name for folder in all_runs()} == {"test", "broken", "newer", "folder"}
    for name in ("file", "broken", "newer", "folder", ".trash", "~no-such-user/x"):
        assert run_bench.main(["status", name]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("run_bench.py: ")


def test_a_copied_run_is_called_by_the_name_of_its_folder(
    measured: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(measured.path, tmp_path / "mine2")
    copied = json.loads(measured.plan_path.read_text()) | {"gflops": 50.0}
    (tmp_path / "mine2/plan.json").write_text(json.dumps(copied))
    assert run_bench.main(["status", "mine2"]) == 0
    assert "run mine2 (preset quick, 1 cases)" in capsys.readouterr().out
    plan, asked = RunFolder(tmp_path / "mine2").plan(), plan_of([HEALTHY])
    asked.preset = "cpu"
    assert plan is not None
    with pytest.raises(ValueError, match="run 'mine2' has preset 'quick'"):
        extend(plan, asked)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("seeds", value) for value in ([], "0", [0.5], [True], None)),
        *(("gflops", "fast"), ("identity", []), ("cases", {}), ("cases", [{}]), ("format", "2")),
    ],
)
def test_a_plan_of_another_shape_is_damaged(measured: RunFolder, key: str, value: object) -> None:
    content = json.loads(measured.plan_path.read_text()) | {key: value}
    measured.plan_path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="damaged or no plan"):
        measured.plan()


@pytest.mark.parametrize("key", ["id", "suites"])
def test_a_plan_whose_names_lead_out_is_refused(measured: RunFolder, key: str) -> None:
    content = json.loads(measured.plan_path.read_text())
    content["cases"][0][key] = "../../../escaped" if key == "id" else ["../../../escaped"]
    measured.plan_path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is not a plain name of a file"):
        measured.plan()


def test_a_refused_run_leaves_no_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "refused")
    with pytest.raises(ValueError, match="no data"), folder.locked():
        raise ValueError("no data")
    assert list((tmp_path / "runs").iterdir()) == []
    with folder.locked():
        folder.write_plan(plan_of([HEALTHY]))
    assert folder.plan() is not None
    with pytest.raises(ValueError, match="no data"), folder.locked():
        raise ValueError("no data")
    assert folder.plan() is not None


def test_a_file_system_without_locks_and_syncs_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSYS if len(arguments) == 2 else errno.EINVAL, "not here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(os, "fsync", refuse)
    folder = RunFolder(tmp_path / "test")
    with folder.locked():
        folder.write_plan(plan_of([HEALTHY]))
    lines.append_line(tmp_path / "lines", {"a": 1})
    assert folder.plan() is not None
    assert "there are no locks" in capsys.readouterr().out


def test_fewer_seeds_than_a_run_has_change_nothing(measure: Measure) -> None:
    plan = plan_of([planted.settings_for(planted.HEALTHY, measures=("time", "quality"))])
    plan.seeds = [0, 1]
    folder, jobs = measure(plan)
    assert sorted(job.seed for job in jobs if job.kind == "quality") == [0, 1]
    fewer, joined = plan_of([HEALTHY]), folder.plan()
    assert joined is not None
    extend(joined, fewer)
    assert joined.seeds == [0, 1]
    joined = folder.plan()
    assert joined is not None
    _, jobs = measure(joined)
    assert jobs == []
    assert sorted(record["seed"] for record in folder.records()) == [0, 1]


@pytest.mark.parametrize(
    ("called", "said"),
    [
        ("run_bench.py", "python run_bench.py"),
        ("/a b/run_bench.py", "python '/a b/run_bench.py'"),
        ("/venv/bin/reformer-bench", "reformer-bench"),
        ("/tests/bench.py", "python run_bench.py"),
        ("", "python run_bench.py"),
    ],
)
def test_the_next_line_names_the_program_as_it_was_called(
    monkeypatch: pytest.MonkeyPatch, called: str, said: str
) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    assert commands.program() == said


@pytest.mark.parametrize(("term", "is_drawn"), [("xterm", True), ("dumb", False), ("", False)])
def test_a_bar_is_drawn_only_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch, measured: RunFolder, term: str, is_drawn: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(progress.sys, "stdout", SimpleNamespace(isatty=lambda: True))
    made: list[str] = []
    for name in ("RichProgress", "PlainProgress"):
        monkeypatch.setattr(progress, name, lambda *a, name=name: made.append(name))
    progress.make_progress(None, 1)  # type: ignore[arg-type]
    assert made == ["RichProgress" if is_drawn else "PlainProgress"]


def shell(command: str, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    bench = f"{sys.executable} {ROOT / 'run_bench.py'}"
    script = command.replace("BENCH", bench)
    # what is written late fails late
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, env=usual
    )


@pytest.mark.parametrize("words", ["list", "--help", "status no-such-run"])
@pytest.mark.parametrize("streams", ["| true", ">&-", "2>&-", "<&-", ">&- 2>&- <&-", "> /dev/full"])
def test_closed_streams_are_no_traceback(tmp_path: Path, words: str, streams: str) -> None:
    done = shell(f"set -o pipefail; BENCH {words} {streams}", tmp_path)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    mistake = "status" in words or "full" in streams
    assert done.returncode == (2 if mistake else 0), done.stderr


def test_words_that_a_terminal_cannot_show_are_escaped(tmp_path: Path) -> None:
    done = shell("PYTHONIOENCODING=ascii BENCH status Größe", tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_sweep_with_closed_streams_and_a_name_with_spaces(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "a copy")
    done = run_by_path(project, "run", "--run", "my run", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"next: python '{project}/run_bench.py' report 'my run'" in done.stdout
    bench = f"{sys.executable} '{project}/run_bench.py'"
    closed = shell(f"{bench} run --run closed >&- 2>&- <&-", tmp_path)
    assert closed.returncode == 0
    (record,) = (project / "results/runs/closed/records.jsonl").read_text().splitlines()
    assert json.loads(record)["status"] == "ok"


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_pipe_is_no_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """It would be waited for without end, and only one process could read it."""
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), "/dev/zero"):
        assert run_bench.main(["run", "layers", *options, "--data", f"text={path}"]) == 2
        assert f"--data text={path} is a pipe or a device" in capsys.readouterr().err
