"""What was measured on: the stable identity apart from volatile readings, and the code that ran. No
torch at import.

Two numbers may be compared when their identities are equal; readings say how the machine felt
meanwhile.
"""

import importlib
import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from suites.engine.measure.device import Device

CPUINFO = Path("/proc/cpuinfo")
# Foreign work that spoils a timing: a fifth of a core, and more than the 10 ms ticks of /proc/stat
# can feign.
FOREIGN_CORES = 0.2
FOREIGN_S = 0.05


def set_flags(n_threads: int) -> None:
    """Set what PyTorch would otherwise choose: threads, matmul precision, determinism."""
    import torch

    torch.set_num_threads(n_threads)
    torch.set_float32_matmul_precision("highest")
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = False


def identity(device: "Device") -> dict[str, Any]:
    """What must agree for two numbers to be compared: machine, device, versions, threads, flags."""
    import torch

    return {
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, {memory_gib()} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        **device.describe(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": importlib.metadata.version("numpy"),
        "threads": torch.get_num_threads(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def cpu_model() -> str:
    """The processor's name for people."""
    if CPUINFO.exists():
        for line in CPUINFO.read_text().splitlines():
            if line.lower().startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def memory_gib() -> int:
    """The machine's memory, rounded to GiB."""
    return round(psutil.virtual_memory().total / 2**30)


class ForeignLoad:
    """Processor time that others took between construction and `cores()`."""

    def __init__(self) -> None:
        self.start, self.start_busy, self.start_own = time.monotonic(), _busy_s(), _own_s()

    def reading(self) -> tuple[float, float]:
        """Mean foreign cores, and foreign seconds."""
        wall = max(time.monotonic() - self.start, 1e-9)
        foreign = max(0.0, (_busy_s() - self.start_busy) - (_own_s() - self.start_own))
        return foreign / wall, foreign

    def disturbed(self) -> bool:
        """Did others take enough to spoil a timing?"""
        cores, seconds = self.reading()
        return cores > FOREIGN_CORES and seconds > FOREIGN_S


def readings(device: "Device") -> dict[str, Any]:
    """Volatile readings: load, clocks, memory, and on CUDA what the driver says (with
    nvidia-ml-py).
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
    """Clocks, temperature, throttle reasons and the number of processes on the measured GPU; why
    not, where the driver does not tell.
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
    """The driver's handle of PyTorch's current GPU; CUDA_VISIBLE_DEVICES numbers them differently
    from the driver. The driver's first one where PyTorch does not tell (before 2.4).
    """
    import torch

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


def matmul_gflops(device: "Device", size: int = 512, repeats: int = 12) -> float:
    """The device's speed in a float32 matrix product, in GFLOP/s, best of a few: what predictions
    of time scale with.

    On the CPU that of one thread times the threads: a busy machine holds up several threads, and
    would be taken for a slow one.
    """
    import torch

    n_threads = torch.get_num_threads() if device.type == "cpu" else 1
    torch.set_num_threads(1)
    a = torch.ones(size, size, device=device.type)
    best_ms = float("inf")
    for _ in range(repeats):
        start = device.mark()
        a @ a
        best_ms = min(best_ms, device.elapsed_ms([start, device.mark()])[0])
    torch.set_num_threads(n_threads)
    return round(n_threads * 2 * size**3 / best_ms / 1e6, 1)
