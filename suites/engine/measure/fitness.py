"""The machine is checked for being fit to time on now; `doctor` asks in a process of its own."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from suites.engine.host import available_bytes, available_cores
from suites.engine.measure.readings import ForeignLoad, load_average, told

CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")
NO_TURBO = Path("/sys/devices/system/cpu/intel_pstate/no_turbo")
BOOST = Path("/sys/devices/system/cpu/cpufreq/boost")
MIN_FREE_BYTES = 2 * 2**30
WATCH_S = 1.0
NOT_SHOWN = "not shown by this system"

Check = tuple[str, str, bool]


def check_fitness(_: object = None) -> dict[str, Any]:
    """Check the machine, and return {"checks": [[what, what was found, passed], ...]}."""
    return {"checks": [list(check) for check in checks()]}


def checks() -> Iterator[Check]:
    """Check load, cores, clocks and memory, in this order."""
    load = ForeignLoad()
    time.sleep(WATCH_S)
    cores = load.foreign_cores()
    words = NOT_SHOWN if cores is None else f"others use {cores:.2f} cores"
    yield "quiet machine", words, not load.disturbed()
    cores_here, average = available_cores(), told(load_average)
    words = NOT_SHOWN if average is None else f"{average:.2f} on {cores_here} cores"
    yield "load average", words, (average or 0.0) <= cores_here
    yield "cores", f"{cores_here} for this process", cores_here >= 1
    yield setting("frequency governor", CPUFREQ / "scaling_governor", "performance")
    if NO_TURBO.exists():
        yield setting("turbo off", NO_TURBO, "1")
    else:
        yield setting("turbo off", BOOST, "0")
    free = available_bytes()
    words = NOT_SHOWN if free is None else f"{free / 2**30:.1f} GiB"
    yield "free memory", words, free is None or free >= MIN_FREE_BYTES


def setting(what: str, file: Path, wanted: str) -> Check:
    """Check a setting of the kernel; one not shown, as in virtual machines, cannot be wrong."""
    try:
        found = file.read_text().strip()
    except OSError:
        return what, NOT_SHOWN, True
    return what, f"{found!r} (steadiest: {wanted!r})", found == wanted
