"""Fixtures run planted sweeps, and let time pass as tests say."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

# planted.py is imported by name in the processes of jobs too, which take over this path
sys.path.insert(0, str(Path(__file__).resolve().parent))

import planted
from fake_time import FakeDevice, FakeTime
from sweeps import Measure, Quiet

from suites.engine.job import Job
from suites.engine.measure import ruler, timing
from suites.engine.store.plan import Plan
from suites.engine.store.runs import RunFolder
from suites.engine.sweep.backlog import Backlog, Choice
from suites.engine.sweep.executors.local import Local
from suites.engine.sweep.scheduler import Sweep


class Patient(Local):
    """Only jobs that are planted to hang can time out: a busy machine ends no other."""

    def start(self, job: Job, waiting: Sequence[Job]) -> None:
        timeout_s = self.timeout_s
        self.timeout_s = timeout_s if job.settings.d_ff == planted.HANGS else math.inf
        super().start(job, waiting)
        self.timeout_s = timeout_s


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    """Return measure(plan), which runs a plan of planted jobs in a folder of its own.

    measure returns that folder, and the jobs that ran. timeout_s: of jobs that hang.
    """

    def run(
        plan: Plan,
        run_job: str = "planted:run_job",
        timeout_s: float = math.inf,
        prune: bool = False,
        retry: tuple[str, ...] = (),
    ) -> Any:
        folder, watcher = RunFolder(tmp_path / "test"), Quiet()
        executor = Patient(plan.device, folder.log_path, timeout_s, run_job)
        with folder.locked():
            folder.write_plan(plan)
            Sweep(Backlog(folder, plan, Choice(retry=retry)), executor, prune).run(watcher)
        return folder, watcher.jobs

    return run


@pytest.fixture
def fake_time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """Return a clock that replaces the machine's in what measures time and in the ruler."""
    fake = FakeTime()
    monkeypatch.setattr(timing, "time", fake)
    monkeypatch.setattr(ruler, "time", fake)
    monkeypatch.setattr(ruler, "CPU", lambda: FakeDevice(fake))
    return fake
