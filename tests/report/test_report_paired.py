"""Runs measured in turns are compared pair by pair: drift of the machine cancels, truth is told."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from synthetic import IDENTITY

from report.compare.paired import paired_ratios, ratio_of_pairs
from report.compare.runs import compare_runs
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


def whole_record(samples: list[Any]) -> Any:
    settings = {"attention": "lsh", "length": 64}
    return record(samples, settings=settings, status="ok", reason="", method=4, suites=["layers"])


def paired(before: list[Any], after: list[Any]) -> Any:
    return paired_ratios([record(before)], [record(after)])["a"]


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


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_pairs_say_nothing(n: int) -> None:
    assert ratio_of_pairs(np.array([0.5, 0.6][:n])).verdict == "ambiguous"


def test_the_pairs_decide_what_a_comparison_says() -> None:
    """Apart the drift hides it; and what is in no pair is compared apart."""
    rng = np.random.default_rng(11)
    before, after = timings(rng, 1.1, 6, drift=0.2, noise=0.01)
    runs = [whole_record(one) for one in (before, after)]
    apart = compare_runs([runs[0]], [runs[1]])
    assert (apart.exit_code, apart.table["verdict"][0]) == (0, "ambiguous")
    found = compare_runs([runs[0]], [runs[1]], ratios=paired_ratios([runs[0]], [runs[1]]))
    assert (found.exit_code, found.table["verdict"][0]) == (1, "slower")
    back = compare_runs([runs[1]], [runs[0]], ratios=paired_ratios([runs[1]], [runs[0]]))
    assert (back.exit_code, back.table["verdict"][0]) == (0, "faster")


def test_many_cases_tell_each_other_how_noisy_pairs_are() -> None:
    """Of three pairs alone half the intervals are too narrow or wide by a factor of two."""
    rng = np.random.default_rng(13)
    both = [timings(rng, 1.0, 3, drift=0.1, noise=0.02) for _ in range(40)]
    olds, news = ([record(pair[i], case=str(k)) for k, pair in enumerate(both)] for i in (0, 1))
    alone = [paired_ratios([o], [n])[o["case"]].df for o, n in zip(olds, news, strict=True)]
    assert set(alone) == {2.0}
    assert min(ratio.df for ratio in paired_ratios(olds, news).values()) > 10


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
    found = paired_ratios([both["before"], other[0]], [both["after"], other[1]])
    assert {case: ratio.n for case, ratio in found.items()} == {"b": 4}


def at_times(one: Any, starts_s: list[float]) -> Any:
    jobs = [
        {"kind": "time", "index": i, "status": "ok", "wall_s": 2.0, "started": in_iso(start)}
        for i, start in enumerate(starts_s)
    ]
    again = {**jobs[0], "started": in_iso(-1e6), "replaced": True}
    return {**one, "jobs": [again, *jobs, {**jobs[0], "kind": "memory"}]}


def in_iso(seconds: float) -> str:
    return datetime.fromtimestamp(1.8e9 + seconds, UTC).isoformat(timespec="milliseconds")


def test_what_was_measured_much_later_makes_no_pair() -> None:
    rng = np.random.default_rng(17)
    before, after = timings(rng, 1.0, 5, drift=0.0, noise=0.01)
    starts = [100.0 * i for i in range(5)]
    old, new = (whole_record(one) for one in (before, after))
    for later_s, n_later, n_pairs in ((3, 5, 5), (-3, 5, 5), (1e6, 2, 3), (1e6, 3, 0), (1e6, 5, 0)):
        moved = [start + (later_s if i < n_later else 3) for i, start in enumerate(starts)]
        runs = [at_times(old, starts)], [at_times(new, moved)]
        ratios = paired_ratios(*runs)
        assert [ratio.n for ratio in ratios.values()] == [n_pairs] * (n_pairs > 0)
        notes = " ".join(compare_runs(*runs, ratios=ratios).notes)
        assert ("Of 1 case the processes make no pairs" in notes) == (n_pairs == 0)
        assert "make no pairs" not in " ".join(compare_runs(*runs).notes)


def test_a_case_of_two_machines_makes_no_pairs() -> None:
    rng = np.random.default_rng(19)
    before, after = timings(rng, 1.0, 4, drift=0.1, noise=0.01)
    other = record(before, identity={**IDENTITY, "machine": "another"})
    assert paired_ratios([record(before), other], [record(after)]) == {}
