"""The ruler tests itself on work of known cost, measured with the very code that measures cases.

It runs in a process of its own, like a case. `doctor` prints what it finds, the tests require it.
"""

import gc
import time
from collections.abc import Callable
from math import sqrt
from statistics import median
from typing import Any

import torch
from torch import Tensor

from suites.engine.measure.device import CPU, CUDA, Device, map_large_blocks
from suites.engine.measure.memory import measure_memory
from suites.engine.measure.timing import measure_time

BYTES_PER_MIB = 2**20
SPIN_MS = 20.0
ALLOCATION_MIB = 64
SPIKE_MS, SPIKE_MIB = 5.0, 61
# What is measured may differ from the truth by this share.
TOLERANCE = 0.02
PLANTED_SLOW_DOWN = 1.05
# Medians of identical work may differ by this: the band in which the report says "same".
SAME = 0.03


def check_ruler(_: object = None) -> dict[str, Any]:
    """Make every check, and return {"checks": [[what, what was found, passed], ...]}."""
    torch.set_num_threads(1)
    map_large_blocks()
    # or each measurement spends 0.2 s on collecting garbage among all that is imported
    gc.freeze()
    checks = [check_spin(), *check_allocation(), *check_spike(), check_slow_down(), check_pair()]
    if torch.cuda.is_available():
        checks += [check_events(), *check_allocation(CUDA())]
    return {"checks": [list(check) for check in checks]}


class Spin:
    """A spin is busy work of a known duration, which it keeps by its own clock.

    Being interrupted is part of its truth: `truth_ms` has what each call took.
    """

    def __init__(self, ms: float) -> None:
        self.ms = ms
        self.truth_ms: list[float] = []

    def __call__(self) -> None:
        """Spin for `ms` milliseconds and note what it took."""
        start = now = time.perf_counter()
        while (now - start) * 1e3 < self.ms:
            now = time.perf_counter()
        self.truth_ms.append((now - start) * 1e3)


def samples_of(
    parts: dict[str, Callable[[], object]], budget_s: float = 0.6, device: Device | None = None
) -> dict[str, list[float]]:
    """Return the milliseconds of each sampled call of `parts` and of "step", timed as cases are."""
    return dict(measure_time(parts, device or CPU(), budget_s)["samples_ms"])


def time_of(
    work: Callable[[], object], budget_s: float = 0.6, device: Device | None = None
) -> list[float]:
    """Return the milliseconds of each sampled call of `work`."""
    return samples_of({"work": work}, budget_s, device)["step"]


def check_spin() -> tuple[str, str, bool]:
    """Check the timing of a spin of 20 ms against the spin's own clock."""
    spin = Spin(SPIN_MS)
    samples = time_of(spin)
    # the samples are the last calls: the first call and unsteady windows come before
    found, truth = median(samples), median(spin.truth_ms[-len(samples) :])
    text = f"{found:.2f} ms measured, {truth:.2f} ms by its own clock"
    return f"spin of {SPIN_MS:g} ms", text, within(found, truth)


def check_events() -> tuple[str, str, bool]:
    """Check CUDA's events on matrix products against this process's clock.

    The clock is read when all has been done.
    """
    device = CUDA()
    a = torch.randn(4096, 4096, device=device.type) / 64

    def multiply() -> None:
        torch.linalg.multi_dot([a] * 16)

    samples = time_of(multiply, device=device)
    clock = []
    for _ in samples:
        start = time.perf_counter()
        multiply()
        device.synchronise()
        clock.append((time.perf_counter() - start) * 1e3)
    found, truth = median(samples), median(clock)
    text = f"{found:.2f} ms by events, {truth:.2f} ms by the clock"
    return "matrix products on cuda", text, within(found, truth)


def check_allocation(device: Device | None = None) -> list[tuple[str, str, bool]]:
    """Check both measures of memory on a tensor of 64 MiB."""
    device, truth = device or CPU(), ALLOCATION_MIB * BYTES_PER_MIB
    name = f"allocation of {ALLOCATION_MIB} MiB" + (" on cuda" if device.type == "cuda" else "")
    return both_measures(name, lambda: tensor_of(truth, device.type), truth, device)


def check_spike() -> list[tuple[str, str, bool]]:
    """Check both measures of memory on 61 MiB that live for 5 ms in the midst of a longer step."""
    truth = SPIKE_MIB * BYTES_PER_MIB

    def spike() -> None:
        time.sleep(0.02)
        tensor = tensor_of(truth)
        Spin(SPIKE_MS)()
        del tensor
        time.sleep(0.02)

    return both_measures(f"spike of {SPIKE_MIB} MiB for {SPIKE_MS:g} ms", spike, truth)


def both_measures(
    name: str, step: Callable[[], object], truth: int, device: Device | None = None
) -> list[tuple[str, str, bool]]:
    """Check the peak of `step` by the process and by live tensors, against the truth in bytes."""
    found = measure_memory(step, device or CPU(), [])
    measures = {found["method"]: found["rest_bytes"], "live tensors": found["live_rest_bytes"]}
    return [
        (
            f"{name}, {measure}",
            f"{n_bytes / BYTES_PER_MIB:.2f} MiB measured",
            within(n_bytes, truth),
        )
        for measure, n_bytes in measures.items()
    ]


def check_slow_down() -> tuple[str, str, bool]:
    """Check that of two spins the one planted 5 % longer is found to be so."""
    ratio = ratio_of(Spin(4.0), Spin(4.0 * PLANTED_SLOW_DOWN))
    what = f"planted slow-down of {100 * (PLANTED_SLOW_DOWN - 1):.0f} %"
    return what, f"ratio {ratio:.3f} measured", within(ratio, PLANTED_SLOW_DOWN)


def check_pair() -> tuple[str, str, bool]:
    """Check that the same real work, timed twice under two names, takes the same time."""
    a = torch.randn(192, 192, generator=torch.Generator().manual_seed(0)) / 192**0.5

    def multiply() -> Tensor:
        return torch.linalg.multi_dot([a] * 16)

    ratio = ratio_of(multiply, multiply)
    return "identical pair", f"ratio {ratio:.3f} measured", abs(ratio - 1) <= SAME


def ratio_of(first: Callable[[], object], second: Callable[[], object], rounds: int = 4) -> float:
    """Return the time of `second` over that of `first`, the median over pairs of calls.

    They take turns call by call, as the parts of one step, and every other round the other one
    begins: what slows the machine down, for half a minute or as it drifts, slows both.
    """
    ratios: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds):
        order = (first, second) if i % 2 == 0 else (second, first)
        samples = samples_of(dict(zip(("one", "other"), order, strict=True)))
        ratios[i % 2].extend(b / a for a, b in zip(samples["one"], samples["other"], strict=True))
    # what the second place costs or saves is in both, and cancels out
    return sqrt(median(ratios[0]) / median(ratios[1]))


def tensor_of(n_bytes: int, device: str = "cpu") -> Tensor:
    """Make a tensor of so many bytes, every page touched."""
    return torch.ones(n_bytes, dtype=torch.uint8, device=device)


def within(found: float, truth: float) -> bool:
    """Return whether a value is within TOLERANCE of the truth."""
    return abs(found / truth - 1) <= TOLERANCE
