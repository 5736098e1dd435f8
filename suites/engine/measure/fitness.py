"""The machine is checked for being fit to time on now; `doctor` asks in a process of its own."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from suites.engine.host import available_bytes, available_cores
from suites.engine.measure.device import CUDA, Device
from suites.engine.measure.machine import bfloat16_instructions, copy_gbs, matmul_gflops
from suites.engine.measure.readings import ForeignLoad, gpu_readings, load_average, told

CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")
NO_TURBO = Path("/sys/devices/system/cpu/intel_pstate/no_turbo")
BOOST = Path("/sys/devices/system/cpu/cpufreq/boost")
MIN_FREE_BYTES = 2 * 2**30
WATCH_S = 1.0
# Bits of the driver's reasons for a lower clock that are none here: idle, the user's own setting.
NOT_THROTTLED = 0b11
NOT_SHOWN = "not shown by this system"

Check = tuple[str, str, bool]


def check_fitness(_: object = None) -> dict[str, Any]:
    """Check the machine, and return {"checks": [[what, what was found, passed], ...]}."""
    return {"checks": [list(check) for check in checks()]}


def checks() -> Iterator[Check]:
    """Check load, clocks and memory, in this order, and then the GPU if there is one."""
    load = ForeignLoad()
    time.sleep(WATCH_S)
    cores = load.foreign_cores()
    words = NOT_SHOWN if cores is None else f"others use {cores:.2f} cores"
    yield "quiet machine", words, not load.disturbed()
    cores_here, average = available_cores(), told(load_average)
    words = NOT_SHOWN if average is None else f"{average:.2f} on {cores_here} cores"
    yield "load average", words, (average or 0.0) <= cores_here
    yield setting("frequency governor", CPUFREQ / "scaling_governor", "performance")
    if NO_TURBO.exists():
        yield setting("turbo off", NO_TURBO, "1")
    else:
        yield setting("turbo off", BOOST, "0")
    free = available_bytes()
    words = NOT_SHOWN if free is None else f"{free / 2**30:.1f} GiB"
    yield "free memory", words, free is None or free >= MIN_FREE_BYTES
    if torch.cuda.is_available():
        yield from gpu_checks(CUDA())


def gpu_checks(device: Device) -> Iterator[Check]:
    """Check who else is on the GPU, tell its rates, and then its clocks, which have just worked."""
    found = gpu_readings()
    if "gpu_processes" in found:
        yield "processes on the GPU", str(found["gpu_processes"]), found["gpu_processes"] <= 1
    for precision in ("float32", "bfloat16"):
        if precision == "float32" or bfloat16_instructions(device):
            rate = told(partial(matmul_gflops, device, precision))
            words = NOT_SHOWN if rate is None else f"{rate / 1e3:.1f} TFLOP/s"
            yield f"matrix products in {precision} on cuda", words, rate is not None
    copied = told(partial(copy_gbs, device))
    words = NOT_SHOWN if copied is None else f"{copied:.0f} GB/s, read and written"
    yield "copies on cuda", words, copied is not None
    found = gpu_readings()
    if "sm_mhz" not in found:
        yield "clocks of the GPU", str(found["gpu_readings"]), False
        return
    words = f"{found['sm_mhz']} MHz, memory {found['memory_mhz']} MHz, {found['celsius']} degrees C"
    yield "clocks of the GPU", words, True
    reasons = found["throttle_reasons"] & ~NOT_THROTTLED
    words = f"reasons {reasons:#x} (nvidia-smi -q -d PERFORMANCE names them)" if reasons else "no"
    yield "throttled", words, not reasons


def setting(what: str, file: Path, wanted: str) -> Check:
    """Check a setting of the kernel; one not shown, as in virtual machines, cannot be wrong."""
    try:
        found = file.read_text().strip()
    except OSError:
        return what, NOT_SHOWN, True
    return what, f"{found!r} (steadiest: {wanted!r})", found == wanted
