"""The parts of one step are timed: a first call, a warm-up until steady, then repeated samples.

The first call (compilation, the allocator's first blocks) stands apart. What is called in the
START_S after it is slow too, and no sample. Warming up ends when two windows are alike, or is given
up with a note. Samples are repeated until there are MIN_SAMPLES and the median is known to 2 %, or
the time budget is spent; a record says which. Every raw sample is kept: outliers may be labelled
later, but are never dropped.
"""

import functools
import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any

from suites.engine.measure.device import Device

# The 95 % interval of the median must reach no further than this share from the median.
PRECISION = 0.02
WINDOW = 3
# A process is slow at first: in the 95 of results/reference/ with 10 samples or more, what began in
# the 0.05 s after the first call took 4 % more than later calls, up to 0.1 s 2 %, up to 0.2 s
# 0.5 %, then nothing. It is a matter of time, not of calls: steps of over 0.3 s show none of it.
START_S = 0.2
# Fewer are no measurement, so a process takes as many whatever its budget is.
MIN_SAMPLES = 5
# Two windows are alike when their medians differ by less than this; twice the precision asked of
# the result.
STEADY = 0.04
# Share of the budget after which warming up is given up, so that the most is left for samples.
WARM_UP_SHARE = 0.4
# From so many samples on the interval of the median is looked at.
LOOK_AT = 10
# A first call of more seconds than this is the only sample of its process.
LONG_S = 60.0
# Bounds the size of a record: of a step of 20 us a budget of 2 s would hold 100,000.
MAX_SAMPLES = 2000

Sample = dict[str, float]


def measure_time(
    parts: Mapping[str, Callable[[], object]],
    device: Device,
    budget_s: float,
    prepare: Callable[[], object] = lambda: None,
    compiles: bool = False,
) -> dict[str, Any]:
    """Time `parts`, run in order, each alone and together as "step", in ms on the device's clock.

    prepare: runs before each step, untimed. budget_s: for warm-up and samples together; at least
    MIN_SAMPLES samples are taken whatever they cost. A call of over LONG_S seconds that compiles
    nothing is itself the sample, and the only one: what only a first call does (allocating) is lost
    in so long a step. compiles: does the first call compile? Then the budget starts after it.

    Returns {"first_ms", "samples_ms", "steady", "stopped_by"}, as in Process of
    suites.engine.store.records; the windows of the warm-up that were found steady count as samples,
    but for the first.
    """

    def sample() -> Sample:
        prepare()
        device.synchronise()
        marks = [device.mark()]
        for run in parts.values():
            run()
            marks.append(device.mark())
        elapsed = dict(zip(parts, device.elapsed_ms(marks), strict=True))
        return {**elapsed, "step": sum(elapsed.values())}

    with garbage_frozen():
        deadline = time.monotonic() + budget_s
        first = sample()
        if compiles:
            deadline = time.monotonic() + budget_s
        elif is_long(first):
            return as_part(first, [first], False, "long")
        give_up_at = time.monotonic() + WARM_UP_SHARE * budget_s
        start = start_up(sample)
        if is_long(start[0]):
            return as_part(first, start[:1], False, "long")
        samples, steady = warm_up(sample, start, give_up_at)
        stopped_by = repeat(sample, samples, deadline)
    return as_part(first, samples, steady, stopped_by)


def is_long(sample: Sample) -> bool:
    """Return whether a step takes so long that one sample is all that a process takes."""
    return sample["step"] > 1e3 * LONG_S


def as_part(first: Sample, samples: list[Sample], steady: bool, stopped_by: str) -> dict[str, Any]:
    """Make one process of the record's `time` part, without what the worker adds."""
    return {
        "first_ms": first,
        "samples_ms": {part: [s[part] for s in samples] for part in first},
        "steady": steady,
        "stopped_by": stopped_by,
    }


def start_up(sample: Callable[[], Sample]) -> list[Sample]:
    """Call for START_S, once at least; return the last window of these calls."""
    end = time.monotonic() + START_S
    window = [sample()]
    while time.monotonic() < end:
        window = [*window, sample()][-WINDOW:]
    return window


def warm_up(
    sample: Callable[[], Sample], start: list[Sample], deadline: float
) -> tuple[list[Sample], bool]:
    """Sample in windows until one is like the one before; return those two, and True.

    start: the window before the first, which is no sample. After the deadline warming up is given
    up once there are two windows, which makes MIN_SAMPLES: it returns them, and False.
    """
    before: list[Sample] = []
    while True:
        window = [sample() for _ in range(WINDOW)]
        if alike([s["step"] for s in before or start], [s["step"] for s in window]):
            return before + window, True
        if before and time.monotonic() >= deadline:
            return before + window, False
        before = window


def alike(before: list[float], after: list[float]) -> bool:
    """Return whether two windows are of one steady state.

    They are if their medians are close, or if each median is inside the other's range.
    """
    a, b = median(before), median(after)
    if abs(a - b) <= STEADY * b:
        return True
    return min(after) <= a <= max(after) and min(before) <= b <= max(before)


def repeat(sample: Callable[[], Sample], samples: list[Sample], deadline: float) -> str:
    """Append samples until the median step is known, or no more may be taken; say which.

    Returns "interval" once the interval of the median is narrow, "budget" once there are
    MIN_SAMPLES and the deadline has passed, or MAX_SAMPLES are taken.
    """
    look_at = LOOK_AT
    while True:
        if len(samples) >= look_at:
            if is_narrow([s["step"] for s in samples]):
                return "interval"
            # looking costs a sort: look again after a tenth more
            look_at = len(samples) + len(samples) // 10 + 1
        is_late = time.monotonic() >= deadline and len(samples) >= MIN_SAMPLES
        if is_late or len(samples) >= MAX_SAMPLES:
            return "budget"
        samples.append(sample())


def is_narrow(samples: list[float]) -> bool:
    """Return whether the 95 % interval of the median stays within PRECISION of it."""
    low, high = median_interval(samples)
    middle = median(samples)
    return max(high - middle, middle - low) <= PRECISION * middle


def median_interval(samples: list[float]) -> tuple[float, float]:
    """Return an interval that covers the median with at least 95 %, whatever the distribution.

    Its ends are order statistics. Fewer than 6 samples cannot say: then it is infinite.
    """
    k = interval_rank(len(samples))
    if k == 0:
        return -math.inf, math.inf
    ordered = sorted(samples)
    return ordered[k - 1], ordered[-k]


@functools.cache
def interval_rank(n: int) -> int:
    """Return the largest k such that the k-th smallest and k-th largest of n enclose the median.

    They enclose it with at least 95 %: the number of samples below the median is binomial(n, 1/2).
    Returns 0 where no k does.
    """
    tail, k = 0.0, 0
    while True:
        tail += math.exp(
            math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
        )
        if 2 * tail > 0.05 or k >= n // 2:
            return k
        k += 1


@contextmanager
def garbage_frozen() -> Iterator[None]:
    """Stop garbage collection inside: one in one sample of many would be noise of the harness."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
