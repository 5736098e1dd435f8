"""A run grows: what is asked later adds to what is there, and what does not fit says so."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import planted
import pytest
from findings import IDENTITY, result_of
from sweeps import CODE, Measure, plan_of

from suites.base import Case
from suites.engine.code import ROOT, code_hash
from suites.engine.job import Outcome
from suites.engine.store.plan import Entry, extend, plan_from_json
from suites.engine.store.runs import RunFolder
from suites.engine.sweep import backlog
from suites.engine.sweep.backlog import Backlog
from suites.engine.sweep.merging import line_of, lines_of

HEALTHY = [planted.settings_for(planted.HEALTHY, length=n) for n in (64, 128)]


def test_what_other_code_measured_of_an_unfinished_case_is_measured_again(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record has one code: nothing is merged into it that another code measured."""
    plan = plan_of(HEALTHY)
    folder, jobs = measure(plan)
    finished, other = folder.records()
    assert finished["code"]["hash"] == code_hash("cpu", ROOT)
    folder.records_path.write_text(json.dumps(finished) + "\n")
    for line in lines_of(other):
        folder.append_job(line)
    changed = {"commit": "", "dirty": True, "hash": "changed"}
    monkeypatch.setattr(backlog, "code_state", lambda device: changed)
    assert Backlog(folder, plan).n_outdated == 3
    folder, jobs = measure(plan)
    assert [job.case_id == finished["case"] for job in jobs] == [False] * 3
    before, after = folder.records()
    assert before == finished
    assert after["code"] == changed


def test_a_finished_case_of_other_code_is_measured_whole_when_more_is_asked(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = measure(plan_of(HEALTHY[:1]))
    more = plan_of([replace(HEALTHY[0], processes=3)])
    assert len(Backlog(folder, more).open_jobs()) == 1
    monkeypatch.setattr(backlog, "code_state", lambda device: {**CODE, "hash": "changed"})
    assert len(Backlog(folder, more).open_jobs()) == 4
    folder, _ = measure(more)
    (record,) = folder.records()
    assert record["code"]["hash"] == "changed"
    assert len(record["time"]["processes"]) == 3


def test_more_processes_and_measures_add_to_what_is_there(measure: Measure) -> None:
    """How often a case is measured is not what it is: its samples are kept."""
    folder, _ = measure(plan_of([replace(HEALTHY[0], measures=("time",))]))
    pids = [p["pid"] for p in folder.records()[0]["time"]["processes"]]
    folder, jobs = measure(plan_of([replace(HEALTHY[0], processes=4)]))
    assert [(job.kind, job.index) for job in jobs] == [("time", 2), ("time", 3), ("memory", 0)]
    (record,) = folder.records()
    assert [p["pid"] for p in record["time"]["processes"]][:2] == pids
    assert len(record["time"]["processes"]) == 4
    assert len(folder.records_path.read_text().splitlines()) == 1, "no sample is on disk twice"


def test_a_job_of_another_machine_is_refused(tmp_path: Path) -> None:
    plan = plan_of(HEALTHY[:1])
    job = Backlog(RunFolder(tmp_path / "test"), plan).open_jobs()[0]
    elsewhere = {**result_of("time"), "identity": IDENTITY | {"threads": 8}}
    with pytest.raises(ValueError, match="threads is 8, but its run is of 1"):
        line_of(job, Outcome(elsewhere), CODE, plan)


def test_records_of_two_machines_in_one_folder_are_both_there(measure: Measure) -> None:
    folder, _ = measure(plan_of(HEALTHY[:1]))
    other = plan_of(HEALTHY[:1])
    other.identity = {**IDENTITY, "machine": "another"}
    theirs = {**folder.records()[0], "identity": other.identity}
    folder.append_record(theirs)
    assert [r["identity"] for r in folder.records()] == [IDENTITY, other.identity]
    assert Backlog(folder, plan_of(HEALTHY[:1])).open_jobs() == []
    assert Backlog(folder, other).open_jobs() == []
    third = plan_of(HEALTHY[:1])
    third.identity = {**IDENTITY, "machine": "third"}
    assert len(Backlog(folder, third).open_jobs()) == 3


def test_a_peer_that_was_installed_later_is_measured(measure: Measure) -> None:
    case = Case(settings=HEALTHY[0], skip="not installed")
    plan = plan_of([])
    plan.entries = {case.id: Entry(case=case, suites=("planted",))}
    folder, jobs = measure(plan)
    assert (jobs, folder.records()[0]["status"]) == ([], "skipped")
    extend(plan, plan_of(HEALTHY[:1]))
    folder, jobs = measure(plan)
    assert len(jobs) == 3
    assert [record["status"] for record in folder.records()] == ["ok"]
    uninstalled = plan_of([])
    uninstalled.entries = {case.id: Entry(case=case, suites=("planted",))}
    folder, _ = measure(uninstalled)
    assert [record["status"] for record in folder.records()] == ["ok"], "what was measured stays"


def test_changed_user_code_is_measured_again(measure: Measure) -> None:
    one = plan_of([replace(HEALTHY[0], attention="own:f")])
    one.versions = {"own:f": "1"}
    two = plan_of([replace(HEALTHY[0], attention="own:f"), HEALTHY[1]])
    two.versions = {"own:f": "2"}
    folder, _ = measure(one, run_job="planted:run_version_1")
    assert [r["versions"] for r in folder.records()] == [{"own:f": "1"}]
    assert len(Backlog(folder, one).open_jobs()) == 0
    assert len(Backlog(folder, two).open_jobs()) == 6


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
        ("id", "0123", "case 0123"),
        ("settings", {"lenght": 3}, "there is no setting 'lenght' any more"),
    ],
)
def test_a_plan_that_the_code_has_left_says_so(field: str, value: Any, said: str) -> None:
    content = plan_of(HEALTHY).to_json()
    where = content if field in content else content["cases"][0]
    where[field] = value
    plan = plan_from_json(json.loads(json.dumps(content)))
    assert said in plan.outdated
    with pytest.raises(ValueError, match=f"no longer matches the code: .*{said}"):
        extend(plan, plan_of(HEALTHY))


def test_runs_of_another_preset_or_machine_are_not_continued() -> None:
    old, new = plan_of(HEALTHY), plan_of(HEALTHY)
    new.preset = "cpu"
    with pytest.raises(ValueError, match="has preset 'quick', asked for was 'cpu'"):
        extend(old, new)
    new = plan_of(HEALTHY)
    new.identity = {**new.identity, "threads": 7}
    with pytest.raises(ValueError, match="threads 1, here it is 7"):
        extend(old, new)


def test_what_another_code_measured_stays_on_disk(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer record counts in its place, but no sample is lost."""
    folder, _ = measure(plan_of(HEALTHY[:1]))
    old = folder.records_path.read_text()
    monkeypatch.setattr(backlog, "code_state", lambda device: {**CODE, "hash": "changed"})
    folder, _ = measure(plan_of([replace(HEALTHY[0], processes=3)]))
    lines = folder.records_path.read_text()
    assert lines.startswith(old)
    assert len(lines.splitlines()) == 2
    assert [record["code"]["hash"] for record in folder.records()] == ["changed"]
