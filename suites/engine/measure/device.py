"""A device is the processor that is measured: one small interface, the CPU and CUDA behind it.

A mark is a moment on the device's own clock: `time.perf_counter_ns` on the CPU, an event on the
stream on CUDA. There a launch returns before its work is done, so a clock of the CPU without
waiting for the device would time the launching alone.
"""

import ctypes
import gc
import itertools
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
import torch

from reformer.checks import refuse_unknown

DEVICES = ("auto", "cpu", "cuda")
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
SAMPLE_EVERY_S = 0.001
# glibc: blocks from this size on are mapped apart from the heap, and unmapped when freed.
M_MMAP_THRESHOLD, MAP_FROM_BYTES = -3, 64 * 1024


@dataclass(slots=True)
class Peak:
    """A peak is the memory of a region, in bytes; `peak` is filled in when the region ends."""

    method: str  # "vmhwm", "allocator" or "sampled"
    baseline: int
    peak: int = 0
    reserved: int | None = None  # CUDA: what the allocator holds of the device


class Device(Protocol):
    """A device answers what the measuring code asks of a processor."""

    type: str

    def mark(self) -> Any:
        """Return a moment on the device's clock, to be given to `elapsed_ms`."""

    def elapsed_ms(self, marks: Sequence[Any]) -> list[float]:
        """Return the milliseconds between each mark and the next; waits for the device."""

    def synchronise(self) -> None:
        """Wait until the device has done all that was asked of it."""

    def watch_peak(self) -> Any:
        """Return a context that yields a Peak, complete at its end."""

    def seed(self, seed: int) -> None:
        """Seed the generators that no explicit generator replaces."""

    def describe(self) -> dict[str, str]:
        """Name the device, its capability and its software, for a record's identity."""


class CPU:
    """This is the processor that PyTorch calls "cpu"."""

    type = "cpu"

    def mark(self) -> int:
        """Return the moment in nanoseconds, from an arbitrary start."""
        return time.perf_counter_ns()

    def elapsed_ms(self, marks: Sequence[int]) -> list[float]:
        """Return the milliseconds between each mark and the next."""
        return [(b - a) / 1e6 for a, b in itertools.pairwise(marks)]

    def synchronise(self) -> None:
        """Return at once: on the CPU work is done when its call returns."""

    @contextmanager
    def watch_peak(self) -> Iterator[Peak]:
        """Watch the peak of resident memory by the kernel's own high-water mark.

        It is reset at the start. This catches a 7 ms spike that a 10 ms sampler misses. Elsewhere
        than on Linux it is sampled.
        """
        if reset_high_water_mark():
            peak = Peak("vmhwm", baseline=status_bytes("VmRSS"))
            yield peak
            peak.peak = status_bytes("VmHWM")
            return
        with sampled_peak() as peak:
            yield peak

    def seed(self, seed: int) -> None:
        """Seed PyTorch's global generator."""
        torch.manual_seed(seed)

    def describe(self) -> dict[str, str]:
        """Name the vector instructions that PyTorch uses, such as "AVX2"."""
        return {"device": "cpu", "capability": torch.backends.cpu.get_cpu_capability()}


class CUDA:
    """This is a CUDA device; `cuda` is `torch.cuda`, or in tests a recorded stand-in."""

    type = "cuda"

    def __init__(self, cuda: Any = torch.cuda) -> None:
        self.cuda = cuda

    def mark(self) -> Any:
        """Record an event on the current stream."""
        event = self.cuda.Event(enable_timing=True)
        event.record()
        return event

    def elapsed_ms(self, marks: Sequence[Any]) -> list[float]:
        """Return the milliseconds between events, once the last one has been reached."""
        marks[-1].synchronize()
        return [a.elapsed_time(b) for a, b in itertools.pairwise(marks)]

    def synchronise(self) -> None:
        """Wait until the device has done all that was asked of it."""
        self.cuda.synchronize()

    @contextmanager
    def watch_peak(self) -> Iterator[Peak]:
        """Watch the allocator's peaks; what earlier regions left cached is given back first.

        `peak` is max_memory_allocated, what the tensors took; `reserved` is max_memory_reserved,
        what must fit on the device.
        """
        self.cuda.synchronize()
        gc.collect()
        self.cuda.empty_cache()
        self.cuda.reset_peak_memory_stats()
        peak = Peak("allocator", baseline=self.cuda.memory_allocated())
        yield peak
        self.cuda.synchronize()
        peak.peak = self.cuda.max_memory_allocated()
        peak.reserved = self.cuda.max_memory_reserved()

    def seed(self, seed: int) -> None:
        """Seed the global generators of PyTorch, on the CPU and on all GPUs."""
        torch.manual_seed(seed)
        self.cuda.manual_seed_all(seed)

    def describe(self) -> dict[str, str]:
        """Name the GPU, its compute capability and the CUDA version of PyTorch."""
        major, minor = self.cuda.get_device_capability()
        return {
            "device": self.cuda.get_device_name(),
            "capability": f"{major}.{minor}",
            "cuda": str(torch.version.cuda),
        }


def open_device(name: str) -> Device:
    """Return the device of that name; "auto" is CUDA where there is one.

    Raises ValueError if there is no such device.
    """
    refuse_unknown(name, DEVICES, "device")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return CPU()
    if not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for; PyTorch sees none here; use --device cpu")
    return CUDA()


def status_bytes(field: str) -> int:
    """Read a field of /proc/self/status, in bytes. Raises ValueError if it is not there."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{STATUS} does not report {field}")


def reset_high_water_mark() -> bool:
    """Give freed memory back, start VmHWM anew from what stays resident, and return True.

    Returns False where the kernel has no such thing, or keeps it from us, as some containers do.
    """
    give_memory_back()
    try:
        if CLEAR_REFS.exists():
            CLEAR_REFS.write_text("5")
            # some containers' kernels take the word and tell nothing
            return status_bytes("VmRSS") > 0 and status_bytes("VmHWM") > 0
    except (OSError, ValueError):
        pass
    return False


def give_memory_back() -> None:
    """Collect garbage and return what the C library holds of freed memory to the system."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def map_large_blocks() -> None:
    """Let the C library return every freed block of 64 KiB or more to the system at once.

    This holds for the rest of this process. Otherwise the library keeps freed memory in a
    fragmented heap, and the peak of a process depends on what it did before: up to twice the peak
    of live tensors, where with this it is within a few per cent of it. This slows allocation down,
    so it belongs in the memory pass only.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MAP_FROM_BYTES)


@contextmanager
def sampled_peak() -> Iterator[Peak]:
    """Watch the peak of resident memory by sampling it every millisecond.

    This is what is left without Linux. What was freed before is given back first, or a block that
    fits into it would not be seen.
    """
    give_memory_back()
    done = threading.Event()
    try:
        process = psutil.Process()
        peak = Peak("sampled", baseline=process.memory_info().rss)
    except psutil.Error as error:
        raise RuntimeError(f"the memory of this process cannot be read here: {error}") from error
    peak.peak = peak.baseline

    def watch() -> None:
        while not done.wait(SAMPLE_EVERY_S):
            peak.peak = max(peak.peak, process.memory_info().rss)

    sampler = threading.Thread(target=watch, daemon=True)
    sampler.start()
    try:
        yield peak
    finally:
        peak.peak = max(peak.peak, process.memory_info().rss)
        done.set()
        sampler.join()
