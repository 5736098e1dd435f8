"""What failed or was disturbed is measured again where that is asked for, and nothing else is."""

from typing import Any

import planted
from sweeps import Measure, plan_of

HEALTHY = [planted.settings_for(planted.HEALTHY, length=n) for n in (64, 128)]


def test_retry_measures_failed_jobs_again_and_keeps_the_rest(measure: Measure) -> None:
    late = planted.settings_for(planted.FAILS_LATE)
    plan = plan_of([late, *HEALTHY])
    measure(plan)
    assert measure(plan)[1] == []
    assert measure(plan, retry=("oom",))[1] == []
    folder, jobs = measure(plan, retry=("crash",))
    assert [(job.kind, job.settings.d_ff) for job in jobs] == [("memory", planted.FAILS_LATE)]
    assert len(folder.records()) == 3


def test_retry_measures_disturbed_timings_again_and_keeps_the_rest(measure: Measure) -> None:
    """What was disturbed twice stands in its record, until it is asked for again."""
    plan = plan_of([planted.settings_for(planted.DISTURBED), *HEALTHY])
    folder, _ = measure(plan)
    before = folder.records()
    assert [disturbed_of(record) for record in before] == [[True] * 2, [False] * 2, [False] * 2]
    assert measure(plan, retry=("crash",))[1] == []
    folder, jobs = measure(plan, "planted:run_undisturbed", retry=("disturbed",))
    assert [(job.kind, job.settings.d_ff) for job in jobs] == [("time", planted.DISTURBED)] * 2
    after = folder.records()
    assert [disturbed_of(record) for record in after] == [[False] * 2] * 3
    assert [record["memory"] for record in after] == [record["memory"] for record in before]
    assert measure(plan, retry=("disturbed",))[1] == []


def disturbed_of(record: dict[str, Any]) -> list[bool]:
    return [process["disturbed"] for process in record["time"]["processes"]]
