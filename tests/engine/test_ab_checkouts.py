"""The command ab is tried on real checkouts: a slow-down is seen, and a kill loses nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from copies import PLACES, copy_project
from quiet import quiet_tries

pytestmark = pytest.mark.slow
SLEEP_S = 0.03
SUITE = """
from suites.base import Suite, grid
from suites.settings import Settings

BASE = Settings(
    attention="naive", length=64, d_model=16, n_heads=1, time_budget_s=0.05, subject="attention",
    measures=("time",),
)
SUITE = Suite(question="Small?", varies="length", presets={{"quick": grid(BASE, length={})}})
"""
BODY = "    return _rows(q, k, v, 0, scale, exclude_self)\n"


def make_checkout(folder: Path, lengths: list[int], planted: str = "") -> Path:
    """Copy the project with cases of these lengths, and a statement planted in their attention."""
    project = copy_project(folder)
    (project / "suites/small.py").write_text(SUITE.format(lengths))
    source = project / "baselines/attention.py"
    assert BODY in source.read_text()
    source.write_text(source.read_text().replace(BODY, f"    {planted or 'pass'}\n{BODY}"))
    return project


def start(this: Path, other: Path, *words: str, cwd: Path) -> "subprocess.Popen[str]":
    """Start `ab` in a session and on a core of its own: two threads spin where others run."""
    usual = {name: value for name, value in os.environ.items() if name not in PLACES}
    core = min(os.sched_getaffinity(0))

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        # tests started in the background inherit a SIGINT that is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, str(this / "run_bench.py"), "ab", str(other), *words],
        cwd=cwd,
        env=usual,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=prepare,
    )


def ab(this: Path, other: Path, *words: str, cwd: Path) -> tuple[int, str, str]:
    process = start(this, other, *words, cwd=cwd)
    out, err = process.communicate(timeout=500)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def jobs_of(this: Path, name: str) -> list[dict[str, Any]]:
    """Every finished job of both runs, with its case and side, in the order of their starts."""
    found = []
    for side in ("other", "this"):
        folder = this / "results/runs" / f"{name}-{side}"
        for file in ("records.jsonl", "jobs.jsonl"):
            text = (folder / file).read_text() if (folder / file).exists() else ""
            for line in text.splitlines(keepends=True):
                if line.endswith("\n"):
                    content = json.loads(line)
                    for job in content.get("jobs", [content]):
                        found.append({**job, "case": content["case"], "side": side})
    whole = {(job["side"], job["case"], job["kind"], job["started"]): job for job in found}
    return sorted(whole.values(), key=lambda job: str(job["started"]))


def verdicts(out: str) -> list[str]:
    """The verdict of each case, from the columns verdict and stands of the table."""
    words = ("slower", "faster", "same", "ambiguous", "disturbed", "fails now")
    return [cell for line in out.splitlines() for cell in re.split(" {2,}", line) if cell in words]


def contents(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("slower", ["this", "other"])
def test_a_slow_down_is_seen_and_the_turns_are_abba(tmp_path: Path, slower: str) -> None:
    planted = {slower: f"__import__('time').sleep({SLEEP_S})"}
    other = make_checkout(tmp_path / "other", [64, 96, 32], planted.get("other", ""))
    this = make_checkout(tmp_path / "this", [64, 96, 160], planted.get("this", ""))
    before = contents(other)
    words = ("--processes", "3", "--set", "measures=time", "--run")
    for i in quiet_tries(3):
        code, out, err = ab(this, other, *words, f"x{i}", cwd=tmp_path)
        if "disturbed" not in verdicts(out):
            break
    assert code == (1 if slower == "this" else 0), out + err
    assert verdicts(out) == ["slower" if slower == "this" else "faster"] * 4
    assert out.count("it is not measured") == 2
    assert "this tests the ruler" not in out
    assert contents(other) == before, "nothing is written there"
    jobs = jobs_of(this, f"x{i}")
    assert {job["kind"] for job in jobs} == {"time"}
    first = {}
    for job in jobs:
        first.setdefault((job["case"], job["index"], job["side"]), job["side"])
    turns = "".join({"other": "A", "this": "B"}[side] for side in first.values())
    assert turns == "ABBA" + "BAAB" + "ABBA"
    for job in jobs:
        assert job["status"] == "ok"


def test_the_same_code_is_not_slower(tmp_path: Path) -> None:
    """By chance one in 40 looks so, and a second one then does not."""
    other, this = (make_checkout(tmp_path / name, [64]) for name in ("other", "this"))
    codes = []
    for name in ("once", "twice"):
        code, out, err = ab(this, other, "--processes", "4", "--run", name, cwd=tmp_path)
        assert "the same: this tests the ruler" in out, err
        codes.append(code)
        if code == 0:
            break
    assert codes[-1] == 0, out


def family_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_for_jobs(process: "subprocess.Popen[str]", this: Path, name: str, n: int) -> None:
    deadline = time.monotonic() + 300
    while len(jobs_of(this, name)) < n and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()


def test_a_kill_leaves_nothing_that_measures_and_the_same_command_goes_on(tmp_path: Path) -> None:
    other, this = (make_checkout(tmp_path / name, [64, 96]) for name in ("other", "this"))
    words = ("--processes", "4", "--set", "time_budget_s=0.3")
    process = start(this, other, *words, "--run", "x", cwd=tmp_path)
    wait_for_jobs(process, this, "x", 5)
    family = family_of(process)
    assert len(family) >= 4, "two sweeps, each with the server of its jobs"
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    kept = jobs_of(this, "x")
    assert len(kept) >= 5
    code, out, err = ab(this, other, *words, "--run", "x", cwd=tmp_path)
    assert code in (0, 1), out + err
    jobs = jobs_of(this, "x")
    starts = {(job["side"], job["case"], job["started"]) for job in jobs}
    assert {(job["side"], job["case"], job["started"]) for job in kept} <= starts
    good = [(j["side"], j["case"], j["kind"], j["index"]) for j in jobs if not j.get("replaced")]
    assert len(good) == len({*good}) == 2 * 2 * (4 + 1)
    again, out, err = ab(this, other, *words, "--run", "x", cwd=tmp_path)
    assert again == code, out + err
    assert out.count("; 0 records are new") == 2
    config = this / "baselines/config.py"
    config.write_text(config.read_text() + "\nEDITED = True\n")
    code, out, err = ab(this, other, *words, "--run", "x", cwd=tmp_path)
    assert code == 2
    assert "run 'x-this' holds measurements of code" in err


def test_ctrl_c_is_a_sentence_and_leaves_nothing_that_measures(tmp_path: Path) -> None:
    other, this = (make_checkout(tmp_path / name, [64, 96]) for name in ("other", "this"))
    process = start(this, other, "--run", "x", cwd=tmp_path)
    wait_for_jobs(process, this, "x", 1)
    family = family_of(process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert err.strip() == "run_bench.py: interrupted"
    assert "to go on: python " in out
    assert not psutil.wait_procs(family, timeout=10)[1]


def test_code_that_fails_in_one_of_the_two_is_told(tmp_path: Path) -> None:
    other = make_checkout(tmp_path / "other", [64])
    raises = make_checkout(tmp_path / "raises", [64], "raise RuntimeError('planted')")
    broken = make_checkout(tmp_path / "broken", [64])
    (broken / "baselines/attention.py").write_text("import nothing_like_it\n")
    cut = make_checkout(tmp_path / "cut", [64])
    (cut / "suites/engine/commands.py").write_text("import nothing_like_it\n")
    words = ("--processes", "2", "--set", "measures=time", "--run", "x")
    code, out, err = ab(raises, other, *words, cwd=tmp_path)
    assert code == 1, out + err
    told = " ".join(out.split())
    assert "fails now: 1 of 1 case" in told
    assert "crash: RuntimeError: planted" in told
    for poor in (broken, cut):
        code, out, err = ab(other, poor, *words, cwd=tmp_path)
        assert code == 2, out + err
        (line,) = err.splitlines()
        assert line.startswith(f"run_bench.py: the sweep in {poor} cannot go on: ")
        assert "nothing_like_it" in line
