"""Faults of a job's process and of what it reads beside a timing."""

from mutants.fault import Fault

FILE = "suites/engine/measure/worker.py"
READINGS = "suites/engine/measure/readings.py"
TESTS = (
    "tests/engine/test_worker.py",
    "tests/engine/test_foreign_load.py",
    "tests/engine/test_trainings.py",
)
FAULTS = [
    Fault(
        FILE,
        "return available_cores() if alone else 1",
        "return available_cores()",
        "trainings side by side have all cores each: their curves hang on the number of cores",
    ),
    Fault(FILE, "device.seed(job.seed)", "device.seed(0)", "all seeds are one"),
    Fault(
        FILE,
        "step.prepare, compiles)",
        "lambda: None, compiles)",
        "every timed step has the same batch, and gradients of attention add up",
    ),
    Fault(
        FILE,
        "    disturbed = load.disturbed()\n",
        "    disturbed = ForeignLoad().disturbed()\n",
        "the load is watched after the measurement: no timing is ever disturbed",
    ),
    Fault(
        FILE,
        "warm_up = step.run_short if is_long else step.run",
        "warm_up = step.run_short",
        "the memory of short steps includes what a first call allocates",
    ),
    Fault(
        READINGS,
        "(busy - self.start_busy) - (_own_s() - self.start_own)",
        "busy - self.start_busy",
        "the measured work itself is taken for others' load",
    ),
    Fault(
        READINGS,
        'idle = ("idle", "iowait", "guest", "guest_nice")',
        'idle = ("idle", "iowait")',
        "the time of virtual machines counts twice",
    ),
]
