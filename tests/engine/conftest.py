"""The fixture that runs planted sweeps."""

import sys
from pathlib import Path
from typing import Any

import pytest

# planted.py is imported by name in the processes of jobs too, which take over this path
sys.path.insert(0, str(Path(__file__).resolve().parent))

from sweeps import Measure, Quiet

from suites.engine.store.runs import Plan, RunFolder
from suites.engine.sweep.scheduler import Options, Sweep


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    """Run a plan of planted jobs in tmp_path: the folder, and the jobs that ran."""

    def run(plan: Plan, run_job: str = "planted:run_job", **options: Any) -> Any:
        folder, watcher = RunFolder("test", tmp_path), Quiet()
        with folder.locked():
            folder.write_plan(plan)
            Sweep(folder, plan, Options(run_job=run_job, **options)).run(watcher)
        return folder, watcher.jobs

    return run
