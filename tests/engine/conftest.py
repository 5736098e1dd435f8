"""The fixture that runs planted sweeps."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest

# planted.py is imported by name in the processes of jobs too, which take over this path
sys.path.insert(0, str(Path(__file__).resolve().parent))

from sweeps import Measure, Quiet

from suites.engine.store.plan import Plan
from suites.engine.store.runs import RunFolder
from suites.engine.sweep.backlog import Backlog, Choice
from suites.engine.sweep.executors.local import Local
from suites.engine.sweep.scheduler import Sweep


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    """Run a plan of planted jobs in a folder of its own: that folder, and the jobs that ran."""

    def run(
        plan: Plan,
        run_job: str = "planted:run_job",
        timeout_s: float = math.inf,
        prune: bool = False,
        retry: tuple[str, ...] = (),
    ) -> Any:
        folder, watcher = RunFolder(tmp_path / "test"), Quiet()
        executor = Local(plan.device, folder.log_path, timeout_s, run_job)
        with folder.locked():
            folder.write_plan(plan)
            Sweep(Backlog(folder, plan, Choice(retry=retry)), executor, prune).run(watcher)
        return folder, watcher.jobs

    return run
