"""How long what is left will take follows from what was measured, else from the formula."""

import json
import re
from pathlib import Path
from statistics import median

import pytest
from findings import IDENTITY, result_of
from reference_results import REFERENCE, reference_results
from sweeps import CODE, plan_of

from suites.engine.job import Outcome
from suites.engine.store.runs import RunFolder
from suites.engine.sweep.backlog import Backlog
from suites.engine.sweep.estimates import Estimates, in_words
from suites.engine.sweep.growth import is_further
from suites.engine.sweep.merging import line_of
from suites.engine.sweep.planning import Asked, find_suites, jobs_of, make_plan
from suites.engine.sweep.prediction import predict_job_s, predict_step_s
from suites.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_measured_durations_replace_and_correct_predicted_ones(tmp_path) -> None:
    plan = plan_of([Settings(length=n) for n in (256, 512, 1024)])
    plan.gflops = 100.0
    assert plan.identity == IDENTITY
    backlog = Backlog(RunFolder(tmp_path / "test"), plan)
    jobs = backlog.open_jobs()
    n_cores = {"quality": 2}  # of trainings each has one
    predicted = {
        job.key: predict_job_s(job.settings, job.kind, 100.0 / n_cores.get(job.kind, 1))
        for job in jobs
    }
    trainings = [s for key, s in predicted.items() if key[1] == "quality"]
    alone = sum(predicted.values()) - sum(trainings)
    side_by_side = max(max(trainings), sum(trainings) / 2)
    assert Estimates(backlog, 2).total(jobs) == pytest.approx(alone + side_by_side)
    one_by_one = sum(predict_job_s(job.settings, job.kind, 100.0) for job in jobs)
    assert Estimates(backlog, 1).total(jobs) == pytest.approx(one_by_one)

    done = next(job for job in jobs if job.kind == "time")
    outcome = Outcome(result_of("time"), wall_s=3 * predicted[done.key])
    backlog.ledger.add(line_of(done, outcome, CODE, plan))
    estimates = Estimates(backlog, 2)
    for job in jobs:
        factor = 3 if job.kind == "time" else 1
        assert estimates.seconds(job) == pytest.approx(factor * predicted[job.key], rel=1e-3)


def test_a_plan_without_the_speed_of_its_machine_is_refused(tmp_path: Path) -> None:
    plan = plan_of([Settings()])
    plan.gflops = 0.0
    with pytest.raises(ValueError, match=r"run 'test' says gflops 0; .* another --run name"):
        Estimates(Backlog(RunFolder(tmp_path / "test"), plan), 1)


def test_trainings_take_as_long_as_predicted() -> None:
    """Within a factor of 2 for the median of a case's seeds, at the rate of one core."""
    ratios: dict[str, list[float]] = {}
    for record, settings in reference_results():
        for job in record["jobs"]:
            if job["kind"] == "quality" and job["status"] == "ok":
                predicted = predict_job_s(settings, "quality", job["gflops"])
                ratios.setdefault(record["case"], []).append(job["wall_s"] / predicted)
    found = [median(of_case) for of_case in ratios.values()]
    assert len(found) >= 20
    assert 1 / 2 < min(found) < 1 < max(found) < 2


def test_readme_tells_how_long_the_sweep_takes() -> None:
    """As measured; what was not measured yet is predicted. Two trainings run side by side."""
    side_by_side, seconds, measured = {"quality": 2}, 0.0, set()
    gflops = json.loads((REFERENCE / "cpu/plan.json").read_text())["gflops"]
    for record, _ in reference_results():
        measured.add(record["case"])
        for job in record["jobs"]:
            seconds += job["wall_s"] / side_by_side.get(job["kind"], 1)
    plan = make_plan("cpu", Asked(preset="cpu"), find_suites())
    for case_id in plan.entries.keys() - measured:
        for job in jobs_of(case_id, plan.entries[case_id].case, plan, {}):
            if not is_further(job):
                n = side_by_side.get(job.kind, 1)
                seconds += predict_job_s(job.settings, job.kind, gflops / n) / n
    told = re.search(r"takes some (\d+) hours on two cores", README)
    assert told
    assert int(told[1]) == pytest.approx(seconds / 3600, rel=0.15)


@pytest.mark.parametrize("attention", ["lsh", "naive", "memory_efficient", "sdpa"])
def test_predicted_time_grows_with_length_as_the_paper_says(attention: str) -> None:
    """Table 1 has it quadratic for full attention and linear for LSH, once attention dominates."""
    seconds = [predict_step_s(Settings(attention=attention, length=2**k), 100.0) for k in (17, 18)]
    expected = 2 if attention == "lsh" else 4
    assert seconds[1] / seconds[0] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("seconds", "words"), [(4.4, "4 s"), (99.4, "99 s"), (600, "10 min"), (7200, "2.0 h")]
)
def test_durations_are_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
