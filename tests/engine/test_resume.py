"""Nothing measured is lost or measured twice, and a run on disk says what is wrong with it."""

import json
import os
import random
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweeps import Measure, Quiet, plan_of

from suites.base import Case
from suites.engine.code import ROOT, code_hash
from suites.engine.store.runs import Entry, RunFolder, extend, plan_from_json
from suites.engine.sweep import scheduler
from suites.engine.sweep.ledger import Ledger, job_line, jobs_of, merge
from suites.engine.sweep.scheduler import Options, Sweep
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


@pytest.mark.slow
def test_five_kills_at_random_moments_end_in_a_complete_run(tmp_path: Path) -> None:
    chance, jobs = random.Random(), tmp_path / "killed" / "jobs.jsonl"
    before: list[dict[str, Any]] = []
    for _ in range(5):
        process = bench(tmp_path, "run", "tiny", "--run", "killed")
        deadline = time.monotonic() + 60
        while len(whole_lines(jobs)) == len(before) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1.0))
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
        assert psutil.wait_procs(family, timeout=5)[1] == []
        assert whole_lines(jobs)[: len(before)] == before
        before = whole_lines(jobs)
    process = bench(tmp_path, "run", "tiny", "--run", "killed")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err

    lines, records = whole_lines(jobs), whole_lines(jobs.with_name("records.jsonl"))
    undisturbed = [ln for ln in lines if not (ln["part"] or {}).get("disturbed")]
    assert max(Counter(map(key, undisturbed)).values()) == 1
    assert max(Counter(map(key, lines)).values()) <= 2
    assert len(set(map(key, lines))) == 4 * 4
    assert sorted(Counter(r["case"] for r in records).values()) == [1] * 5
    assert Counter(r["status"] for r in records) == {"ok": 4, "skipped": 1}
    for record in records:
        if record["status"] == "ok":
            assert len(record["time"]["processes"]) == 2
            assert record["memory"]["live_peak_bytes"] > 0
            assert 0 < record["quality"]["bits_per_dim"] < 20
            assert record["kernel"]

    size = jobs.stat().st_size
    again = bench(tmp_path, "run", "tiny", "--run", "killed")
    out, _ = again.communicate(timeout=60)
    assert again.returncode == 0
    assert "0 records are new" in out
    assert jobs.stat().st_size == size


@pytest.mark.slow
def test_ctrl_c_stops_with_the_way_to_go_on(tmp_path: Path) -> None:
    process = bench(tmp_path, "run", "tiny", "--run", "stopped", start_new_session=True)
    jobs = tmp_path / "stopped" / "jobs.jsonl"
    deadline = time.monotonic() + 60
    while not jobs.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "to go on: python run_bench.py run tiny --run stopped" in out
    assert "Traceback" not in err


def test_a_second_sweep_is_refused_while_one_runs(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "test"), RunFolder(tmp_path / "test")
    with first.locked():
        with pytest.raises(ValueError, match=f"measured by process {os.getpid()}"):
            second.locked().__enter__()
    with second.locked():
        pass


def test_torn_lines_are_measured_again_and_nothing_else(measure: Measure) -> None:
    plan = plan_of(HEALTHY)
    folder, jobs = measure(plan)
    assert len(jobs) == 6
    for path, n_left in ((folder.jobs_path, 3), (folder.records_path, 0)):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:n_left]) + lines[n_left][:-20])
    folder, jobs = measure(plan)
    assert len(jobs) == 3
    assert [r["status"] for r in folder.records()] == ["ok", "ok"]
    assert measure(plan)[1] == []


def test_what_other_code_measured_of_an_unfinished_case_is_measured_again(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record has one code: nothing is merged into it that another code measured."""
    plan = plan_of(HEALTHY)
    folder, jobs = measure(plan)
    of_code = {line["code"]["hash"] for line in folder.job_lines()}
    assert of_code == {r["code"]["hash"] for r in folder.records()} == {code_hash(ROOT)}
    finished = folder.records()[0]
    folder.records_path.write_text(json.dumps(finished) + "\n")
    changed = {"commit": "", "dirty": True, "hash": "changed"}
    monkeypatch.setattr(scheduler, "code_state", lambda: changed)
    assert Sweep(folder, plan, Options()).n_outdated == 3
    folder, jobs = measure(plan)
    assert [job.case_id == finished["case"] for job in jobs] == [False] * 3
    before, after = folder.records()
    assert before == finished
    assert after["code"] == changed


def test_a_disk_that_fills_up_keeps_what_was_measured(measure: Measure) -> None:
    plan = plan_of(HEALTHY)
    folder, _ = measure(plan_of(HEALTHY[:1]))
    size = sum(path.stat().st_size for path in (folder.jobs_path, folder.records_path))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = folder.jobs_path.stat().st_size + 150
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
    try:
        sweep = Sweep(folder, plan, Options(run_job="planted:run_job"))
        with pytest.raises(OSError, match="everything measured before is kept"):
            sweep.run(Quiet())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert [r["status"] for r in folder.records()] == ["ok"]
    assert size < sum(p.stat().st_size for p in (folder.jobs_path, folder.records_path))
    folder, jobs = measure(plan)
    assert [r["status"] for r in folder.records()] == ["ok", "ok"]
    assert {job.settings.length for job in jobs} == {128}


def test_retry_measures_failed_jobs_again_and_keeps_the_rest(measure: Measure) -> None:
    late = planted.settings_for(planted.FAILS_LATE)
    plan = plan_of([late, *HEALTHY])
    measure(plan)
    assert measure(plan)[1] == []
    assert measure(plan, retry=("oom",))[1] == []
    folder, jobs = measure(plan, retry=("crash",))
    assert [(job.kind, job.settings.d_ff) for job in jobs] == [("memory", planted.FAILS_LATE)]
    assert len(folder.records()) == 3


def test_a_further_suite_shares_what_was_measured(measure: Measure) -> None:
    plan = plan_of(HEALTHY)
    measure(plan)
    extend(plan, plan_of(HEALTHY[1:], suites=("other",)))
    folder, jobs = measure(plan)
    assert jobs == []
    assert [r["suites"] for r in folder.records()] == [["planted"], ["planted", "other"]]


def test_more_seeds_add_quality_only(measure: Measure) -> None:
    trained = [replace(one, measures=("time", "quality")) for one in HEALTHY]
    plan = plan_of(trained)
    _, jobs = measure(plan)
    assert Counter(job.kind for job in jobs) == {"time": 4, "quality": 2}
    more = plan_of(trained)
    more.seeds = [0, 1, 2]
    extend(plan, more)
    folder, jobs = measure(plan)
    assert [(job.kind, job.seed) for job in jobs] == [("quality", s) for s in (1, 1, 2, 2)]
    assert sorted(r["seed"] for r in folder.records()) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("method", 0, "planned with method version 0"),
        ("id", "0123", "no longer matches the code: case 0123"),
        ("settings", {"lenght": 3}, "there is no setting 'lenght' any more"),
    ],
)
def test_a_plan_that_the_code_has_left_says_so(field: str, value: Any, said: str) -> None:
    content = plan_of(HEALTHY).to_json()
    where = content if field in content else content["cases"][0]
    where[field] = value
    with pytest.raises(ValueError, match=said):
        plan_from_json(json.loads(json.dumps(content)))


def test_runs_of_another_preset_or_machine_are_not_continued() -> None:
    old, new = plan_of(HEALTHY), plan_of(HEALTHY)
    new.preset = "cpu"
    with pytest.raises(ValueError, match="has preset 'quick', asked for was 'cpu'"):
        extend(old, new)
    new = plan_of(HEALTHY)
    new.identity = {**new.identity, "threads": 7}
    with pytest.raises(ValueError, match="threads 1, here it is 7"):
        extend(old, new)


STATUS = st.sampled_from(["ok", "ok", "ok", "crash", "oom", "timeout"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), n_seeds=st.integers(1, 3), n_processes=st.integers(1, 3))
def test_resuming_at_any_point_gives_the_record_of_the_whole(
    data: st.DataObject, n_seeds: int, n_processes: int
) -> None:
    case = Case(settings=Settings(length=64, processes=n_processes))
    plan = plan_of([case.settings])
    plan.seeds = list(range(n_seeds))
    plan.entries = {case.id: Entry(case=case, suites=("x",))}
    jobs = jobs_of(case.id, case, plan, None)
    whole, lines = Ledger([]), []
    for job in jobs:
        if whole.is_open(job):
            status = data.draw(STATUS)
            part = {"stopped_by": "budget"} if status == "ok" else None
            lines.append({**job_line(job, status, "why", 1.0, {}), "part": part})
            whole.add(lines[-1])
    cut = data.draw(st.integers(0, len(lines)))
    resumed = Ledger(lines[:cut])
    still_open = [job for job in jobs if resumed.is_open(job)]
    assert {j.key for j in still_open}.isdisjoint(map(key, lines[:cut]))
    for line in lines[cut:]:
        assert any(job.key == key(line) for job in still_open)
        resumed.add(line)
    assert not any(map(resumed.is_open, jobs))
    for seed in plan.seeds:
        of_seed = [job for job in jobs if job.seed == seed]
        found, expected = (merge(case.id, case, seed, of_seed, ldg) for ldg in (resumed, whole))
        assert found == {**expected, "started": found["started"]}
        failed = [ln for ln in lines if ln["status"] != "ok"]
        if not failed:
            assert found["status"] == "ok"
        elif seed == failed[0]["seed"]:
            assert found["status"] == failed[0]["status"]
