"""Nothing measured is lost or measured twice, and a run on disk says what is wrong with it."""

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import planted
import psutil
import pytest
from findings import IDENTITY, result_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweeps import CODE, Measure, Quiet, plan_of

from suites.base import Case
from suites.engine.failures import Failure
from suites.engine.job import Outcome
from suites.engine.store.runs import RunFolder
from suites.engine.sweep.backlog import Backlog
from suites.engine.sweep.executors.local import Local
from suites.engine.sweep.ledger import Ledger, key_of
from suites.engine.sweep.merging import line_of, lines_of, record_of
from suites.engine.sweep.planning import jobs_of
from suites.engine.sweep.scheduler import Sweep
from suites.settings import Settings

BENCH = Path(__file__).resolve().parent / "bench.py"
HEALTHY = [planted.settings_for(planted.HEALTHY, length=n) for n in (64, 128)]


def bench(runs: Path, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """run_bench.py on the tiny suites, on one core: busy machines make PyTorch's threads wait."""
    core = {min(os.sched_getaffinity(0))}

    def prepare() -> None:
        os.sched_setaffinity(0, core)
        # tests started in the background inherit a SIGINT that is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, str(BENCH), *arguments],
        env={**os.environ, "REFORMER_RUNS": str(runs)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
        **options,
    )


def whole_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def key(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["case"], line["kind"], line["index"], line["seed"]


def measured(run: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """All finished jobs on disk, in jobs.jsonl or in a record, by what tells them apart."""
    found = {}
    for record in whole_lines(run / "records.jsonl"):
        for job in record["jobs"]:
            line = {**job, "case": record["case"], "seed": record["seed"]}
            found[(*key(line), line["started"])] = line
    for line in whole_lines(run / "jobs.jsonl"):
        found[(*key(line), line["started"])] = line
    return found


@pytest.mark.slow
def test_five_kills_at_random_moments_end_in_a_complete_run(tmp_path: Path) -> None:
    chance, run = random.Random(), tmp_path / "killed"
    before: set[tuple[Any, ...]] = set()
    for _ in range(5):
        process = bench(tmp_path, "run", "tiny", "--run", "killed")
        deadline = time.monotonic() + 60
        while len(measured(run)) == len(before) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1.0))
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
        assert psutil.wait_procs(family, timeout=5)[1] == []
        assert before <= set(measured(run)), "what was measured is lost"
        before = set(measured(run))
    process = bench(tmp_path, "run", "tiny", "--run", "killed")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err

    lines, records = measured(run).values(), whole_lines(run / "records.jsonl")
    undisturbed = [line for line in lines if not line.get("replaced")]
    assert max(Counter(map(key, undisturbed)).values()) == 1
    assert max(Counter(map(key, lines)).values()) <= 2
    assert len(set(map(key, lines))) == 4 * 4
    assert whole_lines(run / "jobs.jsonl") == [], "no sample is on disk twice"
    assert sorted(Counter(r["case"] for r in records).values()) == [1] * 5
    assert Counter(r["status"] for r in records) == {"ok": 4, "skipped": 1}
    for record in records:
        if record["status"] == "ok":
            assert len(record["time"]["processes"]) == 2
            assert record["memory"]["live_peak_bytes"] > 0
            assert 0 < record["quality"]["bits_per_dim"] < 20
            assert record["kernel"]

    content = (run / "records.jsonl").read_bytes()
    again = bench(tmp_path, "run", "tiny", "--run", "killed")
    out, _ = again.communicate(timeout=120)
    assert again.returncode == 0
    assert "0 records are new" in out
    assert (run / "records.jsonl").read_bytes() == content


@pytest.mark.slow
def test_ctrl_c_stops_with_the_way_to_go_on(tmp_path: Path) -> None:
    process = bench(tmp_path, "run", "tiny", "--run", "stopped", start_new_session=True)
    jobs = tmp_path / "stopped" / "jobs.jsonl"
    deadline = time.monotonic() + 60
    while not jobs.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "to go on: python run_bench.py run tiny --run stopped" in out
    assert re.search(r"stopped; \d+ measurements are kept", out)
    assert "Traceback" not in err


def test_a_second_sweep_is_refused_while_one_runs(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "test"), RunFolder(tmp_path / "test")
    with first.locked():
        with pytest.raises(ValueError, match=f"measured by process {os.getpid()}"):
            second.locked().__enter__()
    with second.locked():
        pass


def torn(path: Path, n_left: int) -> None:
    """Leave so many lines of a file, and most of the next one."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:n_left]) + lines[n_left][:-20])


def unfinished(folder: RunFolder, n_jobs: int) -> None:
    """Leave a run as a kill does after so many jobs, in the order in which they ran."""
    lines = [line for record in folder.records() for line in lines_of(record)]
    lines.sort(key=lambda line: (line["kind"] != "time", line["index"], line["started"]))
    folder.records_path.unlink()
    for line in lines[:n_jobs]:
        folder.append_job(line)


def test_torn_lines_are_measured_again_and_nothing_else(
    measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(HEALTHY)
    folder, jobs = measure(plan)
    assert len(jobs) == 6
    unfinished(folder, 4)
    torn(folder.jobs_path, 3)
    folder, jobs = measure(plan)
    assert len(jobs) == 3
    assert "jobs.jsonl, line 4 is skipped: it is cut short" in capsys.readouterr().err
    assert [r["status"] for r in folder.records()] == ["ok", "ok"]
    torn(folder.records_path, 1)
    folder, jobs = measure(plan)
    assert len(jobs) == 3
    assert [r["status"] for r in folder.records()] == ["ok", "ok"]
    assert measure(plan)[1] == []


def test_one_training_out_of_memory_leaves_the_one_beside_it(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trainings of one case side by side: the record of each says how its own ended."""
    monkeypatch.setattr("suites.engine.sweep.executors.local.available_cores", lambda: 2)
    plan = plan_of([replace(HEALTHY[0], measures=("quality",))])
    plan.seeds = [0, 1]
    folder, _ = measure(plan, run_job="planted:run_with_one_failing_training")
    found = {record["seed"]: record for record in folder.records()}
    assert (found[0]["status"], found[0]["quality"]) == ("oom", None)
    assert found[1]["status"] == "ok"
    assert found[1]["quality"]["bits_per_dim"] == 3.0


class Elsewhere(Local):
    """An executor that loses the node of the first job that it starts."""

    lost = False

    def first_done(self) -> Any:
        job, outcome = super().first_done()
        was_lost, self.lost = self.lost, True
        return job, outcome if was_lost else None


def test_a_lost_node_is_no_failure_of_the_case(tmp_path: Path) -> None:
    folder, plan, watcher = RunFolder(tmp_path / "test"), plan_of(HEALTHY[:1]), Quiet()
    executor = Elsewhere("cpu", folder.log_path, run_job="planted:run_job")
    with folder.locked():
        Sweep(Backlog(folder, plan), executor).run(watcher)
    assert [job.kind for job in watcher.jobs] == ["time", "time", "time", "memory"]
    assert [record["status"] for record in folder.records()] == ["ok"]


def test_a_disk_that_fills_up_keeps_what_was_measured(measure: Measure) -> None:
    plan = plan_of(HEALTHY)
    folder, _ = measure(plan_of(HEALTHY[:1]))
    before = folder.records()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = 1500  # bytes: two jobs of some 700, not three
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
    try:
        executor = Local("cpu", folder.log_path, run_job="planted:run_job")
        with pytest.raises(OSError, match="everything measured before is kept"):
            Sweep(Backlog(folder, plan), executor).run(Quiet())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert folder.records() == before
    n_kept = len(folder.job_lines())
    assert n_kept in (1, 2)
    folder, jobs = measure(plan)
    assert [r["status"] for r in folder.records()] == ["ok", "ok"]
    assert {job.settings.length for job in jobs} == {128}
    assert len(jobs) == 3 - n_kept


STATUS = st.sampled_from(["ok", "ok", "ok", "disturbed", "crash", "oom", "timeout"])


def outcome_of(kind: str, status: str) -> Outcome:
    if status in ("ok", "disturbed"):
        changes = {"disturbed": True} if status == "disturbed" and kind == "time" else {}
        return Outcome(result_of(kind, **changes))
    return Outcome(failure=Failure(status, "why"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), n_seeds=st.integers(1, 3), n_processes=st.integers(1, 3))
def test_resuming_at_any_point_gives_the_record_of_the_whole(
    data: st.DataObject, n_seeds: int, n_processes: int
) -> None:
    case = Case(settings=Settings(length=64, processes=n_processes))
    plan = plan_of([case.settings])
    plan.seeds = list(range(n_seeds))
    jobs = jobs_of(case.id, case, plan, {})
    whole, lines = Ledger(), []
    for job in [job for job in jobs for _ in range(2)]:
        if whole.is_open(job):
            outcome = outcome_of(job.kind, data.draw(STATUS))
            lines.append(line_of(job, outcome, CODE, plan))
            whole.add(lines[-1])
    cut = data.draw(st.integers(0, len(lines)))
    resumed = Ledger(lines[:cut])
    for line in lines[cut:]:
        assert any(job.key == key_of(line) and resumed.is_open(job) for job in jobs)
        resumed.add(line)
    assert not any(map(resumed.is_open, jobs))
    beside = {"label": "x", "suites": [], "identity": IDENTITY, "versions": {}}
    for seed in plan.seeds:
        of_seed = [job for job in jobs if job.seed == seed]
        found, expected = (
            record_of(case, seed, of_seed, ledger, CODE, beside) for ledger in (resumed, whole)
        )
        assert found == {**expected, "started": found["started"]}
        assert lines_of(found) == [ln for j in of_seed for ln in whole.tries(j)]
        again = Ledger(lines_of(json.loads(json.dumps(found))))
        assert record_of(case, seed, of_seed, again, CODE, beside)["time"] == found["time"]
        failed = [ln for ln in whole.standing_lines(case.id) if ln["status"] != "ok"]
        if not failed:
            assert found["status"] == "ok"
        elif seed == failed[0]["seed"]:
            assert found["status"] == failed[0]["status"]
