"""Time is measured by rules, tested on a fake clock, and with an interval by the binomial law."""

import math
import random
from statistics import median

import numpy as np
import pytest
from fake_time import FakeDevice, FakeTime, Work
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from suites.engine.measure import ruler, timing
from suites.engine.measure.timing import (
    LONG_S,
    MIN_SAMPLES,
    START_S,
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


@pytest.mark.parametrize("step_ms", [0.02, 3.0, 40.0, 900.0, 10_000.0])
@pytest.mark.parametrize("budget_s", [0.01, 2.0, 60.0])
def test_what_a_process_calls_first_is_no_sample(
    fake_time: FakeTime, step_ms: float, budget_s: float
) -> None:
    """It is 4 % slow for a while, which the comparison of windows does not see."""
    n_slow = max(math.ceil(1e3 * START_S / (1.039 * step_ms)), 1)
    work = Work(fake_time, [1.5 * step_ms, *[1.039 * step_ms] * n_slow, step_ms])
    found = measure_time({"work": work}, FakeDevice(fake_time), budget_s)
    samples = found["samples_ms"]["step"]
    assert found["steady"] is True
    assert samples == pytest.approx([step_ms] * len(samples))
    assert len(samples) >= MIN_SAMPLES
    assert work.n_calls <= 1 + n_slow + MIN_SAMPLES or fake_time.monotonic() < budget_s + 1.0


@pytest.mark.parametrize("step_ms", [1.0, 50.0, 2000.0, 1e3 * LONG_S])
@settings(max_examples=30)
@given(budget_s=st.floats(0.01, 3.0), seed=st.integers(0, 100))
def test_there_are_5_samples_whatever_the_budget(
    step_ms: float, budget_s: float, seed: int
) -> None:
    fake_time, noise = FakeTime(), random.Random(seed)
    work = Work(fake_time, [step_ms * noise.uniform(0.7, 1.0) for _ in range(5000)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "time", fake_time)
        found = measure_time({"work": work}, FakeDevice(fake_time), budget_s)
    samples = found["samples_ms"]["step"]
    assert len(samples) >= MIN_SAMPLES == 5
    before = 1 + max(START_S * 1e3 / (0.7 * step_ms), 1)
    if len(samples) > 2 * timing.WINDOW:
        assert fake_time.monotonic() <= budget_s + 1e-3 * step_ms
    else:
        assert work.n_calls <= before + 2 * timing.WINDOW + 1, "two windows are the most beyond"


def test_what_never_gets_steady_is_measured_and_says_so(fake_time: FakeTime) -> None:
    durations = [20.0 * 0.95**i for i in range(500)]
    work = Work(fake_time, durations)
    found = measure_time({"work": work}, FakeDevice(fake_time), 0.32)
    assert found["steady"] is False
    assert found["stopped_by"] == "budget"
    # 15 calls fill the 0.2 s after the first; two windows of 3 are judged by then, whatever the
    # budget, and they are samples, as is every call that follows
    samples = found["samples_ms"]["step"]
    assert samples == pytest.approx(durations[16 : work.n_calls], abs=2e-6)  # it ticks in ns
    assert sum(durations[: work.n_calls - 1]) < 320 <= sum(durations[: work.n_calls])


def test_a_step_of_which_few_fit_into_the_budget_is_judged_on_its_samples(
    fake_time: FakeTime,
) -> None:
    work = Work(fake_time, [500.0])
    found = measure_time({"work": work}, FakeDevice(fake_time), 0.3)
    assert len(found["samples_ms"]["step"]) == work.n_calls - 2 == MIN_SAMPLES
    assert (found["steady"], found["stopped_by"]) == (True, "budget")
    slowing = Work(fake_time, [500.0 * 1.1**i for i in range(9)])
    found = measure_time({"work": slowing}, FakeDevice(fake_time), 0.3)
    assert len(found["samples_ms"]["step"]) == slowing.n_calls - 2 == 6
    assert (found["steady"], found["stopped_by"]) == (False, "budget")


def test_noise_is_sampled_until_its_median_is_known(fake_time: FakeTime) -> None:
    noise = random.Random(1)
    work = Work(fake_time, [noise.gauss(100, 4) for _ in range(1000)])
    found = measure_time({"work": work}, FakeDevice(fake_time), 60.0)
    samples = found["samples_ms"]["step"]
    low, high = median_interval(samples)
    assert found["stopped_by"] == "interval"
    assert max(high - median(samples), median(samples) - low) <= 0.02 * median(samples)
    assert 10 < len(samples) < 200


def test_the_budget_starts_after_a_first_call_that_compiles(fake_time: FakeTime) -> None:
    work = {"work": Work(fake_time, [900.0, 2.0])}
    found = measure_time(work, FakeDevice(fake_time), 0.3, compiles=True)
    assert found["first_ms"]["step"] == 900
    assert found["samples_ms"]["step"] == [2.0] * 10
    assert found["stopped_by"] == "interval"


def test_a_first_call_that_compiles_nothing_counts_against_the_budget(fake_time: FakeTime) -> None:
    work = {"work": Work(fake_time, [900.0, 2.0])}
    found = measure_time(work, FakeDevice(fake_time), 0.3)
    assert found["samples_ms"]["step"] == [2.0] * MIN_SAMPLES, "and no more"
    assert found["stopped_by"] == "budget"


@pytest.mark.parametrize(("compiles", "n_calls"), [(False, 1), (True, 2)])
@pytest.mark.parametrize("budget_s", [2.0, 1000.0])
def test_a_call_of_over_a_minute_is_itself_the_only_sample(
    fake_time: FakeTime, compiles: bool, n_calls: int, budget_s: float
) -> None:
    """Where it compiled it is no sample, and the one after it is."""
    work = Work(fake_time, [1e3 * LONG_S + 1.0])
    found = measure_time({"work": work}, FakeDevice(fake_time), budget_s, compiles=compiles)
    assert found["samples_ms"]["step"] == [found["first_ms"]["step"]]
    assert work.n_calls == n_calls
    assert found["stopped_by"] == "long"


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
