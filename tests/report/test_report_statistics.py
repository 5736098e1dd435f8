"""Intervals agree with slow twins, and cover the truth on known distributions."""

import math
import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from report.statistics.estimates import Estimate, Ratio
from report.statistics.holm import holm
from report.statistics.intervals import estimate_geometric_mean, ratio_of_medians
from report.statistics.noise import Noise, _inverse_trigamma, process_noise
from report.statistics.scaling import Crossover, crossover, scaling
from report.statistics.seeds import mean_over_seeds, paired_difference

TRUE = 100.0
RNG = np.random.default_rng


def case(rng, k=2, n=15, between=0.005, within=0.01, middle=TRUE):
    """Draw samples around the true median `middle`: k processes, each with its own level."""
    return [
        middle * np.exp(level + rng.normal(0, within, n)) for level in rng.normal(0, between, k)
    ]


def skewed(rng, k, n, between):
    """Draw samples like `case`, with the long tail to the right that timings have."""
    return [
        TRUE * np.exp(level + 0.02 * (rng.exponential(size=n) - math.log(2)))
        for level in rng.normal(0, between, k)
    ]


@pytest.mark.parametrize(("k", "between"), [(3, 0.0), (3, 0.01), (4, 0.005), (5, 0.02)])
def test_interval_covers_the_truth_in_95_of_100(k, between):
    rng, n = RNG(k), 500
    hits = ratio_hits = 0
    for _ in range(n):
        a, b = skewed(rng, k, 25, between), skewed(rng, k, 25, between)
        one, ratio = estimate_geometric_mean(a), ratio_of_medians(a, b)
        hits += one.low <= TRUE <= one.high
        ratio_hits += ratio.low <= 1 <= ratio.high
    assert 0.92 <= hits / n <= 0.98
    assert 0.92 <= ratio_hits / n <= 0.98


@pytest.mark.parametrize("prior_df", [5, 1e6])
def test_moderated_intervals_cover_on_average_over_cases(prior_df):
    """Intervals cover though noise differs from case to case as an inverse chi square.

    There are two processes each.
    """
    rng, hits, n = RNG(3), 0, 0
    for _ in range(25):
        levels = 0.006 * np.sqrt(prior_df / rng.chisquare(prior_df, 30))
        cases = [case(rng, between=level, within=0.002) for level in levels]
        noise = process_noise(cases)
        for a, b in zip(cases[::2], cases[1::2], strict=True):
            ratio = ratio_of_medians(a, b, noise, noise)
            hits, n = hits + (ratio.low <= 1 <= ratio.high), n + 1
    assert 0.92 <= hits / n <= 0.98


def test_process_noise_finds_the_variance_and_whether_it_varies():
    rng = RNG(0)
    alike = process_noise(case(rng, k=4, between=0.01, within=1e-6) for _ in range(2000))
    assert alike.variance == pytest.approx(1e-4, rel=0.1)
    assert alike.df > 30
    few = process_noise(case(rng, k=3) for _ in range(8))
    assert few is None or few.df <= 4
    levels = 0.01 * np.sqrt(6 / rng.chisquare(6, 2000))
    varied = process_noise(case(rng, k=4, between=level, within=1e-6) for level in levels)
    assert varied.df == pytest.approx(6, rel=0.3)
    assert process_noise(case(rng) for _ in range(3)) is None


def test_identical_pairs_are_same_and_ten_percent_is_found():
    rng = RNG(7)
    verdicts = [ratio_of_medians(case(rng, k=3), case(rng, k=3)).verdict for _ in range(20)]
    assert verdicts.count("same") >= 14
    assert verdicts.count("faster") + verdicts.count("slower") <= 1
    slower = [ratio_of_medians(case(rng, k=4, middle=110), case(rng, k=4)) for _ in range(20)]
    assert [ratio.verdict for ratio in slower] == ["slower"] * 20
    faster = ratio_of_medians(case(rng, k=4), case(rng, k=4, middle=110))
    assert faster.verdict == "faster"


def test_noise_widens_what_is_visible_and_makes_pairs_ambiguous():
    rng = RNG(8)
    quiet = ratio_of_medians(case(rng, k=4, between=1e-4), case(rng, k=4, between=1e-4))
    loud = ratio_of_medians(case(rng, k=4, between=0.1), case(rng, k=4, between=0.1))
    assert quiet.smallest_visible == pytest.approx(0.03)
    assert loud.smallest_visible > 0.1
    assert loud.verdict == "ambiguous"


def test_few_samples_say_so():
    assert not estimate_geometric_mean([[5.0]]).has_interval
    assert ratio_of_medians([[5.0, 5.1]], [[50.0, 51.0]]).verdict == "ambiguous"
    assert not mean_over_seeds([3.0]).has_interval
    with pytest.raises(ValueError, match="no seed in common"):
        paired_difference({0: 1.0}, {1: 1.0})


@given(value=st.floats(0.2, 5), down=st.floats(1, 1.5), up=st.floats(1, 1.5))
def test_verdict_is_mirrored_when_the_ratio_is_turned_over(value, down, up):
    mirrored = {"faster": "slower", "slower": "faster"}
    ratio = Ratio(value, value / down, value * up, 2)
    turned = Ratio(1 / value, 1 / ratio.high, 1 / ratio.low, 2)
    edges = (ratio.low, ratio.high, value)
    if (
        min(abs(math.log(e) - b) for e in edges for b in (0, math.log(1.03), -math.log(1.03)))
        > 1e-9
    ):
        assert turned.verdict == mirrored.get(ratio.verdict, ratio.verdict)


@settings(max_examples=30, deadline=None)
@given(
    processes=st.lists(
        st.lists(st.floats(0.1, 100), min_size=1, max_size=12), min_size=1, max_size=5
    ),
    scale=st.floats(0.01, 100),
)
def test_interval_holds_the_median_scales_and_repeats(processes, scale):
    one = estimate_geometric_mean(processes)
    assert one.value == pytest.approx(stats.gmean([np.median(p) for p in processes]))
    assert one == estimate_geometric_mean(processes) or not one.has_interval
    if one.has_interval:
        assert one.low <= one.value <= one.high
        scaled = estimate_geometric_mean([[scale * s for s in p] for p in processes])
        expected = [scale * v for v in (one.value, one.low, one.high)]
        assert [scaled.value, scaled.low, scaled.high] == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.tuples(st.floats(1, 9), st.floats(1, 9)), min_size=2, max_size=6))
def test_quality_agrees_with_scipy(pairs):
    a, b = ({i: p[j] for i, p in enumerate(pairs)} for j in (0, 1))
    change = paired_difference(a, b)
    if np.ptp([a[i] - b[i] for i in a]) > 1e-6:
        expected = stats.ttest_rel(list(a.values()), list(b.values())).confidence_interval()
        assert (change.low, change.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert paired_difference({**a, 99: 1e9}, b) == change


def test_exponent_agrees_with_polyfit():
    rng, lengths = RNG(4), [512, 1024, 2048, 4096]
    exact = [[[3.0 * n**1.37]] for n in lengths]
    line = scaling(lengths, exact).exponent
    assert line.value == pytest.approx(1.37)
    assert (line.low, line.high) == pytest.approx((1.37, 1.37), abs=1e-6)
    groups = [case(rng, k=3, between=0.02, middle=n**1.37) for n in lengths]
    found = scaling(lengths, groups)
    logs = [np.mean([np.log(np.median(p)) for p in group]) for group in groups]
    assert found.exponent.value == pytest.approx(np.polyfit(np.log(lengths), logs, 1)[0])
    steps = np.diff(logs) / np.diff(np.log(lengths))
    assert [slope.value for slope in found.slopes] == pytest.approx(steps)
    assert scaling([512], exact[:1]) is None


@pytest.mark.parametrize("measured_once", [True, False])
def test_a_line_that_bends_has_its_slopes_told(measured_once):
    """From power 1 to power 2, as dense attention goes: no one exponent with a narrow interval."""
    rng, lengths = RNG(5), [512, 1024, 2048, 4096, 8192]

    def groups(time):
        if measured_once:
            return [[[time(n)]] for n in lengths]
        return [case(rng, k=4, between=0.02, middle=time(n)) for n in lengths]

    bent = scaling(lengths, groups(lambda n: n + n**2 / 2048))
    assert bent.bends
    first, last = (float(x) for x in re.findall(r"(\d\.\d\d)(?: \(.*?\))? from", bent.text()))
    assert first == pytest.approx(1.26, abs=0.1)
    assert last == pytest.approx(1.74, abs=0.1)
    assert "4,096 to 8,192" in bent.text()
    bent = scaling([1024 * n for n in lengths], groups(lambda n: n + n**2 / 2048))
    assert "4,194,304 to 8,388,608" in bent.text()
    straight = scaling(lengths, groups(lambda n: n**1.5))
    assert not straight.bends
    assert straight.text().startswith("1.5" if measured_once else f"{straight.exponent.value:.2f}")


def test_a_straight_line_is_seldom_called_bent():
    rng, lengths, n = RNG(6), [512, 1024, 2048, 4096], 400
    bent = sum(
        scaling(lengths, [case(rng, k=3, between=0.05, middle=m**1.2) for m in lengths]).bends
        for _ in range(n)
    )
    assert bent / n <= 0.08


def test_two_processes_make_no_interval_alone():
    """133.0 +- 0.4 ms was told of two processes beside others from 67 to 141."""
    two = [[133.0, 133.1], [133.2, 132.9]]
    assert not estimate_geometric_mean(two).has_interval
    assert ratio_of_medians(two, [[100.0]] * 3).verdict == "ambiguous"
    told = estimate_geometric_mean(two, Noise(0.1**2, 8.0))
    assert told.low < 125
    assert told.high > 141


def test_a_ratio_has_the_noise_of_each_side():
    """The interval is Welch's, as scipy has it."""
    rng = RNG(11)
    a, b = case(rng, k=4, between=0.1), case(rng, k=6, between=0.01)
    logs = [[math.log(np.median(p)) for p in side] for side in (a, b)]
    expected = stats.ttest_ind(*logs, equal_var=False).confidence_interval()
    found = ratio_of_medians(a, b)
    assert (found.low, found.high) == pytest.approx(np.exp(expected))
    one_sided = stats.ttest_ind(*logs, equal_var=False, alternative="greater").pvalue
    assert found.p_above == pytest.approx(one_sided)
    assert found.p_below == pytest.approx(1 - one_sided)


def test_cases_too_unlike_tell_no_noise_of_a_kind():
    rng = RNG(12)
    unlike = [case(rng, k=4, between=b, within=1e-6) for b in np.geomspace(1e-4, 1, 30)]
    assert process_noise(unlike) is None


@given(st.lists(st.floats(1e-6, 1), max_size=20))
def test_holm_agrees_with_its_adjusted_p_values(p_values):
    order = np.argsort(p_values, kind="stable")
    adjusted, largest = {}, 0.0
    for rank, i in enumerate(order):
        largest = max(largest, p_values[i] * (len(p_values) - rank))
        adjusted[i] = largest
    near = any(abs(p - 0.025) < 1e-9 for p in adjusted.values())
    assert near or holm(p_values) == [adjusted[i] <= 0.025 for i in range(len(p_values))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 99), st.floats(1, 99)), min_size=2, max_size=6))
def test_crossover_agrees_with_a_walk_from_the_end(pairs):
    lengths = [256 * 2**i for i in range(len(pairs))]
    found = crossover(lengths, [[[a]] for a, _ in pairs], [[[b]] for _, b in pairs])
    difference = [math.log(a) - math.log(b) for a, b in pairs]
    last = max((i for i, d in enumerate(difference) if d >= 0), default=-1)
    if last == -1:
        expected = 0.0
    elif last == len(pairs) - 1:
        expected = math.inf
    else:
        share = difference[last] / (difference[last] - difference[last + 1])
        expected = lengths[last] * 2**share
    assert found.estimate.value == pytest.approx(expected)
    assert not found.estimate.has_interval


def test_crossover_in_words():
    lengths = [512, 1024]
    slow, quick = [[[2.0, 2.0]] * 3] * 2, [[[1.0, 1.0]] * 3] * 2
    assert crossover(lengths, slow, quick).text() == "beyond the measured range (over 1,024)"
    assert crossover(lengths, quick, slow).text() == "below the measured range (under 512)"


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.0, 0.0, 700.0, "below the measured range (under 512 to 700)"),
        (math.inf, 900.0, math.inf, "beyond the measured range (900 to over 1,024)"),
        (800.0, 0.0, math.inf, "800 (under 512 to over 1,024)"),
        (800.0, math.nan, math.nan, "800"),
    ],
)
def test_an_interval_of_a_crossover_is_told_though_its_value_is_out_of_range(
    value, low, high, said
):
    assert Crossover(Estimate(value, low, high), 512, 1024).text() == said


@pytest.mark.parametrize("x", [0.01, 0.5, 1.0, 3.0, 50.0])
def test_inverse_trigamma(x):
    assert _inverse_trigamma(float(special.polygamma(1, x))) == pytest.approx(x, rel=1e-6)


def test_each_call_is_quick():
    rng = RNG(9)
    a, b = case(rng, k=5, n=2000), case(rng, k=5, n=2000)

    def cost():
        start = time.process_time()
        ratio_of_medians(a, b)
        return time.process_time() - start

    assert min(cost() for _ in range(5)) < 0.05
