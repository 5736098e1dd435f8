"""The processor that is measured: one small interface, the CPU and CUDA behind it.

A mark is a moment on the device's own clock: `time.perf_counter_ns` on the CPU, an event on the
stream on CUDA, where launches return before their work is done (MEASURING.md, Time).
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
    """Memory in a region, in bytes; `peak` is filled in when the region ends."""

    method: str  # "vmhwm", "allocator" or "sampled"
    baseline: int
    peak: int = 0
    reserved: int | None = None  # CUDA: what the allocator holds of the device


class Device(Protocol):
    """What the measuring code asks of a processor."""

    type: str

    def mark(self) -> Any:
        """A moment on the device's clock, to be given to `elapsed_ms`."""

    def elapsed_ms(self, marks: Sequence[Any]) -> list[float]:
        """Milliseconds between each mark and the next; waits for the device."""

    def synchronise(self) -> None:
        """Wait until the device has done all that was asked of it."""

    def watch_peak(self) -> Any:
        """A context that yields a Peak, complete at its end."""

    def seed(self, seed: int) -> None:
        """Seed the generators that no explicit generator replaces."""

    def describe(self) -> dict[str, str]:
        """Name, capability and software of the device: part of a record's identity."""


class CPU:
    """The processor PyTorch calls "cpu"."""

    type = "cpu"

    def mark(self) -> int:
        """Nanoseconds."""
        return time.perf_counter_ns()

    def elapsed_ms(self, marks: Sequence[int]) -> list[float]:
        """See Device."""
        return [(b - a) / 1e6 for a, b in itertools.pairwise(marks)]

    def synchronise(self) -> None:
        """Nothing to wait for."""

    @contextmanager
    def watch_peak(self) -> Iterator[Peak]:
        """The peak of resident memory by the kernel's own high-water mark, reset at the start.

        This catches a 7 ms spike that a 10 ms sampler misses. Elsewhere than Linux: sampled.
        """
        if reset_high_water_mark():
            peak = Peak("vmhwm", baseline=status_bytes("VmRSS"))
            yield peak
            peak.peak = status_bytes("VmHWM")
            return
        with sampled_peak() as peak:
            yield peak

    def seed(self, seed: int) -> None:
        """See Device."""
        torch.manual_seed(seed)

    def describe(self) -> dict[str, str]:
        """See Device."""
        return {"device": "cpu", "capability": torch.backends.cpu.get_cpu_capability()}


class CUDA:
    """A CUDA device; `cuda` is `torch.cuda`, or in tests a recorded stand-in."""

    type = "cuda"

    def __init__(self, cuda: Any = torch.cuda) -> None:
        self.cuda = cuda

    def mark(self) -> Any:
        """An event on the current stream."""
        event = self.cuda.Event(enable_timing=True)
        event.record()
        return event

    def elapsed_ms(self, marks: Sequence[Any]) -> list[float]:
        """See Device."""
        marks[-1].synchronize()
        return [a.elapsed_time(b) for a, b in itertools.pairwise(marks)]

    def synchronise(self) -> None:
        """See Device."""
        self.cuda.synchronize()

    @contextmanager
    def watch_peak(self) -> Iterator[Peak]:
        """The allocator's peaks; what earlier regions left cached is given back first."""
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
        """See Device."""
        torch.manual_seed(seed)
        self.cuda.manual_seed_all(seed)

    def describe(self) -> dict[str, str]:
        """See Device."""
        major, minor = self.cuda.get_device_capability()
        return {
            "device": self.cuda.get_device_name(),
            "capability": f"{major}.{minor}",
            "cuda": str(torch.version.cuda),
        }


def open_device(name: str) -> CPU | CUDA:
    """The device of that name; "auto" is CUDA where there is one. Raises ValueError if there is no
    such device.
    """
    refuse_unknown(name, DEVICES, "device")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return CPU()
    if not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for; PyTorch sees none here; use --device cpu")
    return CUDA()


def status_bytes(field: str) -> int:
    """A field of /proc/self/status, in bytes. Raises ValueError if it is not there."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{STATUS} does not report {field}")


def reset_high_water_mark() -> bool:
    """Give freed memory back and start VmHWM anew from what stays resident; False where the kernel
    has no such thing, or keeps it from us, as some containers do.
    """
    give_memory_back()
    try:
        if CLEAR_REFS.exists():
            CLEAR_REFS.write_text("5")
            return True
    except OSError:
        pass
    return False


def give_memory_back() -> None:
    """Collect garbage and return what the C library holds of freed memory to the system."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def map_large_blocks() -> None:
    """Let the C library return every freed block of 64 KiB or more at once, for the rest of this
    process.

    Otherwise it keeps freed memory in a fragmented heap, and the peak of a process depends on what
    it did before: up to twice the peak of live tensors, where it is now within a few per cent of
    it. This slows allocation down, so it belongs in the memory pass only.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MAP_FROM_BYTES)


@contextmanager
def sampled_peak() -> Iterator[Peak]:
    """The peak of resident memory by sampling it every millisecond: what is left without Linux.

    What was freed before is given back first, or a block that fits into it would not be seen.
    """
    give_memory_back()
    process, done = psutil.Process(), threading.Event()
    peak = Peak("sampled", baseline=process.memory_info().rss)
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
