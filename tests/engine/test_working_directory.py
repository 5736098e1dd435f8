"""Whatever folder the program is started from, and whatever lies there, this checkout runs."""

import json
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from copies import copy_project, run_by_path

import run_bench
from suites.engine.code import code_hash, code_state
from suites.engine.job import Outcome, Question
from suites.engine.store.plan import Plan
from suites.engine.sweep import start
from suites.engine.sweep.executors import fork_server

BROKEN = "raise RuntimeError('this is not the module you want')\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("ours"))


def records(project: Path, name: str) -> list[dict[str, object]]:
    path = project / "results/runs" / name / "records.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def trap(folder: Path) -> Path:
    """Fill a folder with files and packages that have the names of others."""
    for name in ("torch", "json", "psutil", "signal", "tempfile"):
        (folder / f"{name}.py").write_text(BROKEN)
    for name in ("numpy", "suites", "reformer"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(BROKEN)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{}, {"PYTHONPATH": ":."}, {"PYTHONSAFEPATH": "1"}])
def test_a_folder_full_of_other_modules_changes_nothing(
    project: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    if variables.get("PYTHONPATH"):
        # Python itself imports these, before any of our code runs
        trap(tmp_path), [(tmp_path / f"{name}.py").unlink() for name in ("signal", "tempfile")]
    else:
        trap(tmp_path)
    name = f"trap{len(variables)}{'PYTHONPATH' in variables}"
    done = run_by_path(project, "run", "--run", name, cwd=tmp_path, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert [record["status"] for record in records(project, name)] == ["ok"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cwd", "PYTHONPATH"])
def test_the_code_of_another_checkout_is_not_measured(
    project: Path, tmp_path: Path, how: str
) -> None:
    other = copy_project(tmp_path / "other")
    worker = other / "suites/engine/measure/worker.py"
    worker.write_text(
        worker.read_text().replace('"kernel": step.kernel}', '"kernel": "of the other"}')
    )
    assert code_hash("cpu", other) != code_hash("cpu", project)
    variables = {"PYTHONPATH": str(other), "PYTHONSAFEPATH": "1"} if how == "PYTHONPATH" else {}
    cwd = other if how == "cwd" else tmp_path
    done = run_by_path(project, "run", "--run", how, cwd=cwd, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = records(project, how)
    assert record["kernel"] != "of the other"
    assert record["code"]["hash"] == code_hash("cpu", project)  # type: ignore[index]


@pytest.mark.slow
def test_the_users_own_attention_is_found_from_the_folder_they_stand_in(
    project: Path, tmp_path: Path
) -> None:
    own = "from baselines.attention import naive\n\n\ndef attend(*a):\n    return naive(*a)\n"
    (tmp_path / "mine.py").write_text(own)
    words = ("run", "--set", "attention=mine:attend", "--run", "own")
    done = run_by_path(project, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [record["status"] for record in records(project, "own")] == ["ok"]


def test_a_folder_that_is_gone_is_no_obstacle(project: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"cd {gone} && rmdir {gone} && {sys.executable} {project / 'run_bench.py'} list"
    assert os.system(f"{script} > {tmp_path / 'out'}") == 0
    assert "Small?" in (tmp_path / "out").read_text()


def test_our_own_come_first_and_the_current_folder_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "/other", "/lib"])
    run_bench.import_our_own()
    assert sys.path == [str(run_bench.ROOT), "/other", "/lib", ""]
    run_bench.import_our_own()
    assert sys.path == [str(run_bench.ROOT), "/other", "/lib", ""]


def test_processes_import_from_the_root_and_not_from_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {"PYTHONPATH": f":.:{tmp_path}:lib:/other"}
    found = fork_server.importing_from(Path("/ours"), before)
    assert found == {"PYTHONPATH": f"/ours:{tmp_path}/lib:/other", "PYTHONSAFEPATH": "1"}


@pytest.mark.slow
def test_a_long_name_of_the_temporary_folder_is_no_obstacle(project: Path, tmp_path: Path) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    done = run_by_path(project, "run", "--run", "long", cwd=tmp_path, TMPDIR=str(long))
    assert done.returncode == 0, done.stdout + done.stderr


def test_sockets_go_where_their_names_are_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", f"/{'long/' * 20}")
    taken: list[str] = []
    monkeypatch.setattr(fork_server.util, "get_temp_dir", lambda: taken.append(tempfile.tempdir))
    fork_server.make_room_for_sockets()
    assert taken == ["/tmp"]
    assert tempfile.tempdir == f"/{'long/' * 20}"


@pytest.mark.parametrize("found", [{}, {"root": "/other"}])
def test_a_measuring_process_of_another_checkout_is_refused(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, str]
) -> None:
    """As with `python -I`, where no variable reaches the fork server."""
    answer = Outcome({"code": code_state("cpu")["hash"], **found})
    monkeypatch.setattr(start, "run_in_process", lambda *arguments, **options: answer)
    plan = Plan(name="x", preset="quick", seeds=[0], device="cpu")
    with pytest.raises(ValueError, match=r"run other code, in .* without -I and -E"):
        start.probe_machine(plan, Question(device="cpu"))


def test_options_that_hide_this_checkout_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flags = SimpleNamespace(ignore_environment=1, isolated=1)
    stand_in = SimpleNamespace(flags=flags, executable=sys.executable)
    monkeypatch.setattr(fork_server, "sys", stand_in)
    with pytest.raises(ValueError, match=f"with python -I .* cannot find the code in {tmp_path}"):
        fork_server.require_own_code.__wrapped__(tmp_path)
    stand_in.flags = SimpleNamespace(ignore_environment=0)
    fork_server.require_own_code.__wrapped__(tmp_path)
