"""Runs measured in turns are compared pair by pair: drift of the machine cancels, truth is told."""

from typing import Any

import numpy as np
import pytest
from synthetic import IDENTITY

from report.compare.paired import compare_paired, ratio_of_pairs
from report.statistics.intervals import ratio_of_medians

N_SAMPLES = 15


def timings(
    rng: np.random.Generator, ratio: float, n: int, drift: float, noise: float
) -> tuple[list[Any], list[Any]]:
    """Samples of `n` processes before and after; both of a pair see the same drifting machine."""
    machine = np.cumsum(rng.normal(0, drift, n))

    def side(level: float) -> list[Any]:
        own = level * np.exp(machine + rng.normal(0, noise, n))
        return [list(one * np.exp(rng.normal(0, 0.01, N_SAMPLES))) for one in own]

    return side(10.0), side(10.0 * ratio)


def record(samples: list[Any], case: str = "a", **changes: Any) -> Any:
    processes = [{"samples_ms": {"step": one}} for one in samples]
    usual = {"case": case, "label": f"case {case}", "time": {"processes": processes}}
    return {**usual, "settings": {}, "identity": IDENTITY, "seed": 0, **changes}


def paired(before: list[Any], after: list[Any]) -> Any:
    return compare_paired([record(before)], [record(after)]).ratios["a"]


@pytest.mark.parametrize("n", [3, 6])
def test_the_interval_covers_the_truth_whatever_the_drift(n: int) -> None:
    rng, n_tries, found = np.random.default_rng(n), 1500, 0
    for _ in range(n_tries):
        ratio = paired(*timings(rng, 1.07, n, drift=0.1, noise=0.02))
        found += ratio.low <= 1.07 <= ratio.high
    assert 0.93 <= found / n_tries <= 0.97


def test_a_difference_that_drift_hides_is_seen_in_pairs() -> None:
    rng, n_tries, seen = np.random.default_rng(5), 60, {"paired": 0, "apart": 0}
    for _ in range(n_tries):
        before, after = timings(rng, 1.07, 6, drift=0.1, noise=0.01)
        seen["paired"] += paired(before, after).verdict == "slower"
        seen["apart"] += ratio_of_medians(after, before).verdict == "slower"
    assert seen["paired"] >= 0.9 * n_tries
    assert seen["apart"] <= 0.2 * n_tries


def test_the_ratio_is_after_over_before_and_equal_code_is_the_same() -> None:
    rng = np.random.default_rng(7)
    before, after = timings(rng, 0.8, 6, drift=0.1, noise=0.005)
    assert paired(before, after).verdict == "faster"
    assert paired(after, before).verdict == "slower"
    assert paired(after, before).value == pytest.approx(1 / paired(before, after).value)
    assert paired(before, before).verdict == "same"


def test_one_pair_says_nothing() -> None:
    assert ratio_of_pairs(np.array([0.5])).verdict == "ambiguous"


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("lost", ["a process", "its samples", "the time"])
def test_what_makes_no_pairs_is_left_out(side: str, lost: str) -> None:
    """A process that failed leaves no gap in the list of processes: pairs would be shifted."""
    rng = np.random.default_rng(9)
    before, after = timings(rng, 1.0, 4, drift=0.1, noise=0.01)
    whole = {"before": record(before), "after": record(after)}
    poor = record(before if side == "before" else after)
    if lost == "a process":
        del poor["time"]["processes"][1]
    elif lost == "its samples":
        poor["time"]["processes"][1]["samples_ms"]["step"] = []
    else:
        poor["time"] = None
    both = {**whole, side: poor}
    other = [record(one, case="b") for one in (before, after)]
    found = compare_paired([both["before"], other[0]], [both["after"], other[1]])
    assert [*found.ratios] == ["b"]
    text = found.markdown()
    assert "case b | 4 |" in text
    assert "case a" not in text
