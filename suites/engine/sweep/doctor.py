"""The command `doctor` tells what the machine is, whether it is quiet, and if the ruler is right.

No torch: every check runs in a process of its own, as a job does.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from suites.engine.job import Question
from suites.engine.sweep.executors.local import run_in_process
from suites.engine.sweep.start import PROBE

FITNESS = "suites.engine.measure.fitness:check_fitness"
RULER = "suites.engine.measure.ruler:check_ruler"
NOTHING = "suites.engine.sweep.executors.child:nothing"
MAX_START_S = 0.3

Check = tuple[str, str, bool]


def examine() -> int:
    """Make all checks and print a line for each; return 0 if all passed, else 1."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        checks = [
            *machine_checks(log),
            *checks_of(FITNESS, log),
            *start_checks(log),
            *checks_of(RULER, log),
        ]
    for what, found, passed in checks:
        print(f"{'pass' if passed else 'FAIL'}    {what}: {found}")
    n_failed = sum(not passed for _, _, passed in checks)
    print(f"{len(checks) - n_failed} of {len(checks)} checks passed")
    return 1 if n_failed else 0


def machine_checks(log: Path) -> Iterator[Check]:
    """Check that the machine can be measured at all, and print what it is."""
    question = Question(device="auto")
    # CUDA maps far more address space than there is memory
    probe = run_in_process(PROBE, question, log=log, limit_memory=False)
    refusal = probe.failure.reason if probe.failure else probe.result.get("refusal")
    for name, value in probe.result.get("identity", {}).items():
        print(f"        {name}: {value}")
    yield "device", refusal or probe.result["device"], refusal is None
    if refusal is None:
        is_fastest = not probe.result["is_fallback"]
        yield "kernel of LSH attention", probe.result["kernel"], is_fastest


def start_checks(log: Path) -> Iterator[Check]:
    """Check that a process starts quickly, once the fork server stands."""
    seconds = min(run_in_process(NOTHING, None, log=log).wall_s for _ in range(3))
    yield "start of a process", f"{seconds:.3f} s (at most {MAX_START_S} s)", seconds < MAX_START_S


def checks_of(function: str, log: Path) -> Iterator[Check]:
    """Yield the checks that a function makes in a process of its own."""
    outcome = run_in_process(function, None, log=log, timeout_s=60, limit_memory=False)
    if outcome.failure:
        yield function.partition(":")[2].replace("_", " "), outcome.failure.reason, False
    yield from outcome.result.get("checks", [])
