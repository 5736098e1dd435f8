"""Time is measured by rules, tested on a fake clock, and with an interval by the binomial law."""

import math
import random
from statistics import median

import numpy as np
import pytest
from fake_time import FakeDevice, FakeTime, Work
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from suites.engine.measure import ruler
from suites.engine.measure.timing import (
    LONG_S,
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


def test_parts_are_timed_apart_and_add_up(fake_time: FakeTime) -> None:
    """The truth is kept by each spin itself, and `prepare` is in none of the parts."""
    work = {"forward": ruler.Spin(2.0), "backward": ruler.Spin(5.0)}
    calls = []

    def prepare() -> None:
        calls.append(1)
        fake_time.sleep(0.002)

    found = measure_time(work, FakeDevice(fake_time), 0.3, prepare=prepare)
    samples = found["samples_ms"]
    assert set(samples) == set(found["first_ms"]) == {"forward", "backward", "step"}
    n = len(samples["step"])
    assert n == 10, "as many as are looked at first: each is like the others"
    for part, spin in work.items():
        assert len(spin.truth_ms) > n, "the first call is no sample"
        assert samples[part] == pytest.approx(spin.truth_ms[-n:], rel=0.02)
        assert found["first_ms"][part] == pytest.approx(spin.truth_ms[0], rel=0.02)
    sums = [a + b for a, b in zip(samples["forward"], samples["backward"], strict=True)]
    assert samples["step"] == pytest.approx(sums)
    assert len(calls) == len(work["forward"].truth_ms)


def test_the_slow_calls_before_the_steady_state_are_no_samples(fake_time: FakeTime) -> None:
    work = Work(fake_time, [500.0, 90.0, 80.0, 70.0, 30.0, 25.0, 20.0, 10.0])
    found = measure_time({"work": work}, FakeDevice(fake_time), 2.0)
    assert found["first_ms"]["step"] == 500
    assert found["steady"] is True
    assert found["stopped_by"] == "interval"
    assert found["samples_ms"]["step"] == [10.0] * 10


def test_what_never_gets_steady_is_measured_and_says_so(fake_time: FakeTime) -> None:
    durations = [20.0 * 0.95**i for i in range(500)]
    work = Work(fake_time, durations)
    found = measure_time({"work": work}, FakeDevice(fake_time), 0.3)
    assert found["steady"] is False
    assert found["stopped_by"] == "budget"
    # the first call and two windows of 3 and one of 2 fill the 0.12 s of warm-up: the last two of
    # the windows are samples, and of what follows every call
    samples = found["samples_ms"]["step"]
    assert samples == pytest.approx(durations[4 : work.n_calls], abs=2e-6)  # it ticks in ns
    assert sum(durations[: work.n_calls - 1]) < 300 <= sum(durations[: work.n_calls])


def test_a_step_of_which_few_fit_into_the_budget_loses_no_sample(fake_time: FakeTime) -> None:
    work = Work(fake_time, [50.0])
    found = measure_time({"work": work}, FakeDevice(fake_time), 0.3)
    assert len(found["samples_ms"]["step"]) == work.n_calls - 1 == 5


def test_noise_is_sampled_until_its_median_is_known(fake_time: FakeTime) -> None:
    noise = random.Random(1)
    work = Work(fake_time, [noise.gauss(100, 4) for _ in range(1000)])
    found = measure_time({"work": work}, FakeDevice(fake_time), 60.0)
    samples = found["samples_ms"]["step"]
    low, high = median_interval(samples)
    assert found["stopped_by"] == "interval"
    assert max(high - median(samples), median(samples) - low) <= 0.02 * median(samples)
    assert 10 < len(samples) < 200


def test_one_sample_beyond_the_budget_is_still_a_row(fake_time: FakeTime) -> None:
    found = measure_time({"work": Work(fake_time, [30.0])}, FakeDevice(fake_time), 0.01)
    assert len(found["samples_ms"]["step"]) == 1
    assert (found["steady"], found["stopped_by"]) == (False, "budget")


def test_the_budget_starts_after_a_first_call_that_compiles(fake_time: FakeTime) -> None:
    work = {"work": Work(fake_time, [200.0, 2.0])}
    found = measure_time(work, FakeDevice(fake_time), 0.1, compiles=True)
    assert found["first_ms"]["step"] == 200
    assert found["samples_ms"]["step"] == [2.0] * 10
    assert found["stopped_by"] == "interval"


def test_a_first_call_that_compiles_nothing_counts_against_the_budget(fake_time: FakeTime) -> None:
    work = {"work": Work(fake_time, [200.0, 2.0])}
    found = measure_time(work, FakeDevice(fake_time), 0.1)
    assert found["samples_ms"]["step"] == [2.0] * 6, "two windows of the warm-up, and no more"
    assert found["stopped_by"] == "budget"


@pytest.mark.parametrize(("compiles", "n_calls"), [(False, 1), (True, 2)])
def test_a_first_call_of_over_a_minute_is_itself_the_sample(
    fake_time: FakeTime, compiles: bool, n_calls: int
) -> None:
    """Where it compiled it is no sample, and the one after it is."""
    work = Work(fake_time, [1e3 * LONG_S + 1.0])
    found = measure_time({"work": work}, FakeDevice(fake_time), 2.0, compiles=compiles)
    assert found["samples_ms"]["step"] == [found["first_ms"]["step"]]
    assert work.n_calls == n_calls


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
