"""The ruler for time: its interval against the binomial law, its rules against planted clocks."""

import math
import random
import time
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from suites.engine.measure import ruler
from suites.engine.measure.device import CPU
from suites.engine.measure.timing import (
    alike,
    interval_rank,
    is_narrow,
    measure_time,
    median_interval,
)


@given(st.integers(1, 3000))
def test_the_interval_covers_the_median_by_the_binomial_law(n: int) -> None:
    k = interval_rank(n)
    assert k == 0 or binom.cdf(k - 1, n, 0.5) * 2 <= 0.05 + 1e-9
    assert binom.cdf(k, n, 0.5) * 2 > 0.05 - 1e-9 or k == n // 2


@pytest.mark.parametrize("n", [6, 10, 25, 100])
def test_the_interval_covers_the_median_of_skewed_samples(n: int) -> None:
    draws = np.random.default_rng(0).lognormal(size=(3000, n))
    covered = [low <= 1.0 <= high for low, high in map(median_interval, draws.tolist())]
    assert 0.95 <= np.mean(covered) <= 0.985
    assert interval_rank(n) >= 1


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=5))
def test_few_samples_say_nothing(samples: list[float]) -> None:
    assert median_interval(samples) == (-math.inf, math.inf)
    assert not is_narrow(samples)


def test_parts_are_timed_apart_and_add_up() -> None:
    work = {"forward": ruler.Spin(2.0), "backward": ruler.Spin(5.0)}
    calls = []
    found = measure_time(work, CPU(), 0.3, prepare=lambda: (calls.append(1), time.sleep(0.002)))
    samples = found["samples_ms"]
    assert set(samples) == set(found["first_ms"]) == {"forward", "backward", "step"}
    n = len(samples["step"])
    assert n > 5
    for part, spin in work.items():
        assert len(spin.truth_ms) > n, "the first call is no sample"
        assert median(samples[part]) == pytest.approx(median(spin.truth_ms[-n:]), rel=0.02)
        assert found["first_ms"][part] == pytest.approx(spin.truth_ms[0], rel=0.1)
    sums = [a + b for a, b in zip(samples["forward"], samples["backward"], strict=True)]
    assert samples["step"] == pytest.approx(sums)
    assert len(calls) == len(work["forward"].truth_ms)


class Clock(CPU):
    """A device whose work takes what a list says, so that tests need no quiet machine."""

    def __init__(self, durations_ms: list[float]) -> None:
        self.durations_ms, self.n, self.now = durations_ms, 0, 0

    def work(self) -> None:
        self.now += int(1e6 * self.durations_ms[min(self.n, len(self.durations_ms) - 1)])
        self.n += 1
        time.sleep(0.001)

    def mark(self) -> int:
        return self.now


def test_the_slow_calls_before_the_steady_state_are_no_samples() -> None:
    clock = Clock([500.0, 90.0, 80.0, 70.0, 30.0, 25.0, 20.0, 10.0])
    found = measure_time({"work": clock.work}, clock, 1.0)
    assert found["first_ms"]["step"] == 500
    assert found["steady"] is True
    assert found["stopped_by"] == "interval"
    assert set(found["samples_ms"]["step"]) == {10.0}
    assert len(found["samples_ms"]["step"]) == 10


def test_what_never_gets_steady_is_measured_and_says_so() -> None:
    clock = Clock([2000.0 * 0.8**i for i in range(500)])
    found = measure_time({"work": clock.work}, clock, 0.1)
    assert found["steady"] is False
    assert found["stopped_by"] == "budget"
    samples = found["samples_ms"]["step"]
    assert len(samples) > 6
    # of the 0.04 s of warm-up the last two windows, of what follows every call
    expected = [2000.0 * 0.8**i for i in range(clock.n - len(samples), clock.n)]
    assert samples == pytest.approx(expected, abs=2e-6)  # the clock ticks in ns


def test_a_step_of_which_few_fit_into_the_budget_loses_no_sample() -> None:
    calls = []
    found = measure_time({"work": lambda: calls.append(time.sleep(0.05))}, CPU(), 0.3)
    assert len(found["samples_ms"]["step"]) == len(calls) - 1 >= 4


def test_noise_is_sampled_until_its_median_is_known() -> None:
    noise = random.Random(1)
    clock = Clock([noise.gauss(100, 4) for _ in range(1000)])
    found = measure_time({"work": clock.work}, clock, 5.0)
    samples = found["samples_ms"]["step"]
    low, high = median_interval(samples)
    assert found["stopped_by"] == "interval"
    assert max(high - median(samples), median(samples) - low) <= 0.02 * median(samples)
    assert 10 < len(samples) < 200


def test_one_sample_beyond_the_budget_is_still_a_row() -> None:
    found = measure_time({"work": lambda: time.sleep(0.03)}, CPU(), 0.01)
    assert len(found["samples_ms"]["step"]) == 1
    assert (found["steady"], found["stopped_by"]) == (False, "budget")


def test_the_budget_starts_after_a_first_call_that_compiles() -> None:
    calls = []

    def work() -> None:
        calls.append(time.sleep(0.2 if not calls else 0.002))

    found = measure_time({"work": work}, CPU(), 0.1, compiles=True)
    assert found["first_ms"]["step"] > 200
    assert len(found["samples_ms"]["step"]) >= 10
    assert max(found["samples_ms"]["step"]) < 200


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([10, 10, 10], [10.3, 10.2, 10.3], True),
        ([20, 19, 18], [10, 11, 10], False),
        ([9, 12, 10], [11, 9.5, 12], True),
    ],
)
def test_windows_are_compared(before: list[float], after: list[float], expected: bool) -> None:
    assert alike(before, after) is expected
