"""Readings stand beside a measurement: what others took of the machine, clocks, memory."""

import importlib
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psutil
import torch

from suites.engine.host import available_bytes
from suites.engine.measure.device import Device

Found = TypeVar("Found")

# Foreign work that spoils a timing: a fifth of a core, and more than the 10 ms ticks of /proc/stat
# can feign.
FOREIGN_CORES = 0.2
FOREIGN_S = 0.05


class ForeignLoad:
    """Processor time that others took is counted from construction to `reading()`.

    Where the system does not tell, as in containers that hide /proc, nothing is known of others.
    """

    def __init__(self) -> None:
        self.start, self.start_busy, self.start_own = time.monotonic(), _busy_s(), _own_s()

    def reading(self) -> tuple[float, float] | None:
        """Return the mean number of cores that others used, and their processor time in seconds.

        None where the system does not tell.
        """
        wall, busy = max(time.monotonic() - self.start, 1e-9), _busy_s()
        if busy is None or self.start_busy is None:
            return None
        foreign = max(0.0, (busy - self.start_busy) - (_own_s() - self.start_own))
        return foreign / wall, foreign

    def foreign_cores(self) -> float | None:
        """Return the mean number of cores that others used; None where the system is silent."""
        found = self.reading()
        return None if found is None else round(found[0], 3)

    def disturbed(self) -> bool:
        """Return whether others took enough to spoil a timing, as far as the system tells."""
        cores, seconds = self.reading() or (0.0, 0.0)
        return cores > FOREIGN_CORES and seconds > FOREIGN_S


def readings(device: Device) -> dict[str, Any]:
    """Read load, clocks and memory as they are now, and on CUDA what the driver says.

    What this system does not tell is None. What the driver says needs the package nvidia-ml-py.
    """
    found: dict[str, Any] = {
        "load": told(load_average),
        "cpu_mhz": told(lambda: round(psutil.cpu_freq().current)),
        "available_bytes": available_bytes(),
    }
    if device.type == "cuda":
        found |= gpu_readings()
    return found


def load_average() -> float:
    """Return the load average of the last minute. Raises OSError where there is none."""
    return round(os.getloadavg()[0], 2)


def told(read: Callable[[], Found]) -> Found | None:
    """Return what a reading gives, or None where this system does not tell.

    A reading stands beside a measurement: whatever it raises, the measurement is worth keeping.
    """
    try:
        return read()
    except Exception:
        return None


def gpu_readings() -> dict[str, Any]:
    """Read clocks, temperature, throttle reasons and the number of processes of the measured GPU.

    Where the driver does not tell, the only reading says why not.
    """
    try:
        pynvml: Any = importlib.import_module("pynvml")

        pynvml.nvmlInit()
        gpu = measured_gpu(pynvml)
        return {
            "sm_mhz": pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM),
            "memory_mhz": pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_MEM),
            "celsius": pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU),
            "throttle_reasons": pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu),
            "gpu_processes": len(pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)),
        }
    except Exception as error:  # nvidia-ml-py is an extra, and a driver may refuse any reading
        return {"gpu_readings": f"none: {error}"}


def measured_gpu(nvml: Any) -> Any:
    """Return the driver's handle of PyTorch's current GPU.

    CUDA_VISIBLE_DEVICES numbers GPUs differently from the driver, so it is found by its UUID.
    """
    uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
    return nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")


def _busy_s() -> float | None:
    # guest time is already in user time
    idle = ("idle", "iowait", "guest", "guest_nice")
    times = told(psutil.cpu_times)
    if times is None or not any(times):
        return None
    return sum(s for kind, s in times._asdict().items() if kind not in idle)


def _own_s() -> float:
    # with children that have ended, such as the compilers that a kernel starts
    own = os.times()
    return own.user + own.system + own.children_user + own.children_system
