"""Ctrl-C is a sentence at any moment, and a poor environment is measured in all the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from copies import ROOT, copy_project, run_by_path

from suites.engine.sweep.executors.fork_server import deaf_to_interrupts

LISTENS = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"


def test_what_starts_the_jobs_hears_no_interrupt() -> None:
    with deaf_to_interrupts():
        deaf = subprocess.run([sys.executable, "-c", LISTENS], capture_output=True, text=True)
    hears = subprocess.run([sys.executable, "-c", LISTENS], capture_output=True, text=True)
    assert (deaf.stdout.strip(), hears.stdout.strip()) == ("True", "False")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 0.6, 1.2, 2.0])
def test_ctrl_c_while_torch_is_imported_is_one_sentence(tmp_path: Path, seconds: float) -> None:
    """The whole group hears it, as from a terminal: the fork server too."""
    environment = {**os.environ, "REFORMER_RUNS": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run_bench.py"), "run", "layers", "--run", "stopped"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # tests started in the background inherit a SIGINT that is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    deadline = time.monotonic() + 60
    # the group is that process and Python's tracker until the fork server is there
    while time.monotonic() < deadline:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if len(children) >= 2:
            break
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert err.strip() == "run_bench.py: interrupted" or "to go on: " in out


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("EOFError('Ran out of input')", False),
        ("pickle.UnpicklingError('pickle data was truncated')", False),
        ("ValueError('no such thing')", True),
    ],
)
def test_a_process_whose_sweep_is_gone_before_it_has_a_job_says_nothing(
    raised: str, told: bool
) -> None:
    code = f"import pickle; from suites.engine.measure import preload; raise {raised}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert ("Traceback" in done.stderr) == told, done.stderr


@pytest.mark.slow
def test_a_poor_environment_is_measured_in_all_the_same(tmp_path: Path) -> None:
    """No home, no git, a compiler of two words, and a TMPDIR that is not there."""
    project = copy_project(tmp_path / "project")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("g++", "as", "ld", "cc1plus", "collect2", "env"):
        for folder in ("/usr/bin", "/bin"):
            if (Path(folder) / name).exists() and not (tools / name).exists():
                (tools / name).symlink_to(Path(folder) / name)
    poor = {"HOME": "/dev/null/home", "CXX": "env g++", "TMPDIR": "/dev/null/tmp", "TERM": ""}
    done = run_by_path(project, "run", cwd=tmp_path, PATH=str(tools), XDG_CACHE_HOME="", **poor)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (project / "results/runs/quick/records.jsonl").read_text()
    (record,) = map(json.loads, text.splitlines())
    assert record["status"] == "ok"
    assert record["code"]["commit"] == ""
    if (tools / "g++").exists():
        assert record["kernel"] == "native", done.stdout
