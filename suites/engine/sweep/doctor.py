"""`doctor`: what the machine is, whether it is fit for timing now, and whether the ruler measures
right. No torch.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from suites.engine.host import available_cores
from suites.engine.job import Question
from suites.engine.measure.machine import ForeignLoad
from suites.engine.sweep.executors.local import run_in_process

CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")
NO_TURBO = Path("/sys/devices/system/cpu/intel_pstate/no_turbo")
BOOST = Path("/sys/devices/system/cpu/cpufreq/boost")
MIN_FREE_BYTES = 2 * 2**30
MAX_START_S = 0.3
WATCH_S = 1.0

Check = tuple[str, str, bool]


def examine() -> int:
    """Print one line per check; 0 if all passed, else 1."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        checks = [*machine_checks(log), *fitness(), *start_checks(log), *ruler_checks(log)]
    for what, found, passed in checks:
        print(f"{'pass' if passed else 'FAIL'}    {what}: {found}")
    n_failed = sum(not passed for _, _, passed in checks)
    print(f"{len(checks) - n_failed} of {len(checks)} checks passed")
    return 1 if n_failed else 0


def machine_checks(log: Path) -> Iterator[Check]:
    """Can the machine be measured at all? Prints what it is."""
    question = Question(device="auto")
    # CUDA maps far more address space than there is memory
    probe = run_in_process(
        "suites.engine.measure.worker:probe", question, log=log, limit_memory=False
    )
    refusal = probe.failure.reason if probe.failure else probe.result.get("refusal")
    for name, value in probe.result.get("identity", {}).items():
        print(f"        {name}: {value}")
    yield "device", refusal or probe.result["device"], refusal is None
    if refusal is None:
        is_fastest = not probe.result["is_fallback"]
        yield "kernel of LSH attention", probe.result["kernel"], is_fastest


def fitness() -> Iterator[Check]:
    """Is the machine fit for timing?"""
    load = ForeignLoad()
    time.sleep(WATCH_S)
    cores, _ = load.reading()
    yield "quiet machine", f"others use {cores:.2f} cores", not load.disturbed()
    cores_here, average = available_cores(), os.getloadavg()[0]
    yield "load average", f"{average:.2f} on {cores_here} cores", average <= cores_here
    yield "cores", f"{cores_here} for this process", cores_here >= 1
    yield setting("frequency governor", CPUFREQ / "scaling_governor", "performance")
    if NO_TURBO.exists():
        yield setting("turbo off", NO_TURBO, "1")
    else:
        yield setting("turbo off", BOOST, "0")
    free = psutil.virtual_memory().available
    yield "free memory", f"{free / 2**30:.1f} GiB", free >= MIN_FREE_BYTES


def setting(what: str, file: Path, wanted: str) -> Check:
    """A setting of the kernel; one not shown, as in virtual machines, cannot be wrong."""
    try:
        found = file.read_text().strip()
    except OSError:
        return what, "not shown by this system", True
    return what, f"{found!r} (steadiest: {wanted!r})", found == wanted


def start_checks(log: Path) -> Iterator[Check]:
    """Does a process start quickly, once the fork server stands?"""
    seconds = min(
        run_in_process("suites.engine.sweep.executors.local:nothing", None, log=log).wall_s
        for _ in range(3)
    )
    yield "start of a process", f"{seconds:.3f} s (at most {MAX_START_S} s)", seconds < MAX_START_S


def ruler_checks(log: Path) -> Iterator[Check]:
    """The self-test of the ruler, in a process of its own."""
    outcome = run_in_process(
        "suites.engine.measure.ruler:check_ruler", None, log=log, timeout_s=60, limit_memory=False
    )
    if outcome.failure:
        yield "ruler", outcome.failure.reason, False
    yield from outcome.result.get("checks", [])
