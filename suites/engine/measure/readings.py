"""Readings stand beside a measurement: what others took of the machine, clocks, memory."""

import importlib
import os
import time
from typing import Any

import psutil
import torch

from suites.engine.measure.device import Device

# Foreign work that spoils a timing: a fifth of a core, and more than the 10 ms ticks of /proc/stat
# can feign.
FOREIGN_CORES = 0.2
FOREIGN_S = 0.05


class ForeignLoad:
    """Processor time that others took is counted from construction to `reading()`."""

    def __init__(self) -> None:
        self.start, self.start_busy, self.start_own = time.monotonic(), _busy_s(), _own_s()

    def reading(self) -> tuple[float, float]:
        """Return the mean number of cores that others used, and their processor time in seconds."""
        wall = max(time.monotonic() - self.start, 1e-9)
        foreign = max(0.0, (_busy_s() - self.start_busy) - (_own_s() - self.start_own))
        return foreign / wall, foreign

    def disturbed(self) -> bool:
        """Return whether others took enough to spoil a timing."""
        cores, seconds = self.reading()
        return cores > FOREIGN_CORES and seconds > FOREIGN_S


def readings(device: Device) -> dict[str, Any]:
    """Read load, clocks and memory as they are now, and on CUDA what the driver says.

    What the driver says needs the package nvidia-ml-py.
    """
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    found: dict[str, Any] = {
        "load": round(os.getloadavg()[0], 2),
        "cpu_mhz": round(frequency.current) if frequency else None,
        "available_bytes": psutil.virtual_memory().available,
    }
    if device.type == "cuda":
        found |= gpu_readings()
    return found


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

    CUDA_VISIBLE_DEVICES numbers GPUs differently from the driver, so it is found by its UUID. It is
    the driver's first one where PyTorch does not tell the UUID (before 2.4).
    """
    uuid = getattr(torch.cuda.get_device_properties(torch.cuda.current_device()), "uuid", None)
    if uuid is None:
        return nvml.nvmlDeviceGetHandleByIndex(0)
    return nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")


def _busy_s() -> float:
    # guest time is already in user time
    times = psutil.cpu_times()._asdict()
    return sum(
        s for kind, s in times.items() if kind not in ("idle", "iowait", "guest", "guest_nice")
    )


def _own_s() -> float:
    own = os.times()
    return own.user + own.system
