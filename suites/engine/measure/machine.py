"""The machine that measures has flags, an identity and a speed.

Two numbers may be compared when their identities are equal.
"""

import importlib.metadata
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch

from reformer.kernels.native.build import compiler_version
from suites.engine.host import available_cores, read
from suites.engine.measure.device import Device

CPUINFO = Path("/proc/cpuinfo")
# Linux's names of the instructions for products of bfloat16, on x86 and on ARM; on CUDA the
# compute capability from which on there are some (Ampere).
BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")
BFLOAT16_FROM = (8, 0)
# What limits libraries whatever they are told; they stand in the identity where they are set.
LIMITS = ("OMP_THREAD_LIMIT", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def set_flags(n_threads: int) -> None:
    """Set what PyTorch would otherwise choose: threads, matmul precision, determinism."""
    torch.set_num_threads(n_threads)
    torch.set_float32_matmul_precision("highest")
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = False


def identity(device: Device) -> dict[str, Any]:
    """Return what must agree for two numbers to be compared: machine, device, versions, flags.

    threads: of a timing; a training on the CPU has one, whatever the machine, and its record says
    so (Quality in suites.engine.store.records).
    """
    n_cores = os.cpu_count() or available_cores()
    return {
        "machine": f"{cpu_model()}, {n_cores} cores, {memory_gib()} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        **device.describe(),
        "bfloat16": bfloat16_instructions(device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": importlib.metadata.version("numpy"),
        "compiler": compiler_version(),
        "threads": available_cores(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        **{name: os.environ[name] for name in LIMITS if name in os.environ},
    }


def cpu_model() -> str:
    """Return the processor's name for people."""
    for line in read(CPUINFO).splitlines():
        if line.lower().startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def bfloat16_instructions(device: Device) -> str:
    """Name the device's instructions for products of bfloat16.

    It is "" where there are none, and where the system does not tell: elsewhere than on Linux.
    """
    if device.type == "cuda":
        capability = device.describe()["capability"]
        return capability if tuple(map(int, capability.split("."))) >= BFLOAT16_FROM else ""
    for line in read(CPUINFO).splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return " ".join(flag for flag in BFLOAT16_FLAGS if flag in flags.split())
    return ""


def lacking(device: Device) -> dict[str, str]:
    """Return the precisions that this device only imitates, with a sentence that says why."""
    if bfloat16_instructions(device):
        return {}
    if device.type == "cuda":
        why = f"compute capability {device.describe()['capability']}; they begin with 8.0"
    else:
        why = f"{CPUINFO} names none of {', '.join(BFLOAT16_FLAGS)}"
    return {"bfloat16": f"this machine has no instructions for bfloat16: {why}"}


def memory_gib() -> int:
    """Return the machine's memory, rounded to GiB."""
    try:
        total = psutil.virtual_memory().total
    except Exception:  # whatever a system without a readable /proc makes of it
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return round(total / 2**30)


def matmul_gflops(device: Device, precision: str = "float32") -> float:
    """Measure the device's speed in a matrix product, in GFLOP/s, as the best of a few.

    Predictions of time scale with it, and floors of attention calls are made of it. On a GPU it is
    in that precision and of a size that fills it. On the CPU it is in float32, that of one thread
    times the threads: a busy machine holds up several threads, and would be taken for a slow one.
    """
    n_threads = torch.get_num_threads() if device.type == "cpu" else 1
    size, dtype = (512, torch.float32) if device.type == "cpu" else (8192, DTYPES[precision])
    torch.set_num_threads(1)
    a = torch.randn(size, size).to(device.type, dtype)
    best_ms = best_of(device, lambda: a @ a)
    torch.set_num_threads(n_threads)
    return round(n_threads * 2 * size**3 / best_ms / 1e6, 1)


def copy_gbs(device: Device) -> float:
    """Measure the GB/s at which a GPU copies 1 GiB within its memory, read and written together."""
    source = torch.randn(2**28, device=device.type)
    target = torch.empty_like(source)
    return round(2 * 2**30 / best_of(device, lambda: target.copy_(source)) / 1e6, 1)


def best_of(device: Device, work: Callable[[], object], repeats: int = 12) -> float:
    """Return the milliseconds of the fastest of a few calls."""
    best_ms = float("inf")
    for _ in range(repeats):
        start = device.mark()
        work()
        best_ms = min(best_ms, device.elapsed_ms([start, device.mark()])[0])
    return best_ms
