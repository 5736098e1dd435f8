"""A crossover is told only where one was seen: not across failures, nor the wrong way round."""

import copy
from math import inf

import numpy as np
import pytest

from report.claims.check import judge, lines_of
from report.claims.claim import Claim
from report.findings import suite_finding
from report.reading.gathering import gather
from report.reading.rivals import crossover_of
from report.reading.view import view_of
from report.statistics.scaling import crossover

LENGTHS = [1024, 2048, 4096, 8192, 16384]
TRUE_CROSSOVER = 512 * 2**2.5  # of LSH-4 and sdpa in the synthetic records
CLAIM = Claim(
    name="planted",
    says="it is {value}",
    suite="sequence_length",
    quantity="crossover",
    of={"attention": "lsh", "n_rounds": 4},
    against={"attention": "sdpa"},
    at_most=8192,
)


def of_ratios(ratios, noise=0.01):
    rng = np.random.default_rng(0)

    def processes(ms):
        return [[ms * np.exp(rng.normal(0, noise))] * 5 for _ in range(3)]

    rivals = [processes(100) for _ in ratios]
    return crossover(LENGTHS, [processes(100 * ratio) for ratio in ratios], rivals)


def without_time(records, attention, status, *lengths):
    found = copy.deepcopy(records)
    for record in found:
        s = record["settings"]
        if s["attention"] == attention and s["length"] in lengths:
            record.update(time=None, status=status, reason="planted")
    return found


def lines_of_suite(records):
    by_name = {line.name: line for line in view_of("sequence_length", gather(records)).series}
    return by_name["LSH-4"], by_name["dense sdpa"]


@pytest.mark.parametrize("noise", [0.01, 0.0])
def test_a_method_that_is_ahead_at_short_lengths_only_is_not_about_to_win(noise):
    found = of_ratios([0.5, 0.5, 0.8, 1.5, 2], noise)
    assert found.text().startswith("faster below ")
    assert found.text().endswith(" only")
    assert 4096 < found.until.value < 8192
    assert found.until.low <= found.until.value <= found.until.high
    assert found.phrase() == f"{found.text()} tokens"
    assert found.estimate.low == inf, "no claim of an early crossover holds"


def test_level_lines_show_no_difference_and_ordinary_ones_do():
    level = of_ratios([1] * 5, 0.02)
    assert level.text() == "no visible difference"
    assert level.phrase() == "no visible difference at any length"
    assert (level.estimate.low, level.estimate.high) == (0, inf), "nothing can be concluded"
    usual = of_ratios([2, 1.5, 0.8, 0.5, 0.3])
    assert usual.phrase() == f"crossover at {usual.text()} tokens"
    assert 2048 < usual.estimate.value < 4096
    for ratios, words in (([2] * 5, "beyond"), ([0.5] * 5, "below")):
        assert f"crossover {words} the measured range" in of_ratios(ratios).phrase()


@pytest.mark.parametrize("attention", ["lsh", "sdpa"])
@pytest.mark.parametrize("status", ["oom", "skipped"])
def test_no_crossover_lies_across_a_failure(records, attention, status):
    """The true one is at 2,896: what lies between 1,024 and 4,096 is not known without 2,048."""
    found = crossover_of(*lines_of_suite(without_time(records, attention, status, 2048, 4096)))
    if status == "skipped":
        assert found.estimate.low < found.estimate.value < found.estimate.high
        return
    assert found.text() == "not known: out of memory at 2,048 and 4,096"
    assert found.phrase() == f"crossover {found.text()}"
    short = without_time(records, attention, status, 1024)
    assert crossover_of(*lines_of_suite(short)).unknown == ""


def test_findings_and_claims_do_not_tell_it_either(records):
    lost = without_time(records, "lsh", "crash", 2048, 4096)
    told = suite_finding(view_of("sequence_length", gather(lost)), "time")
    assert "crossover with dense attention not known: crashed at 2,048 and 4,096" in told
    [found] = judge([CLAIM], lost)
    assert found.verdict == "inconclusive"
    assert "it is not known: crashed at 2,048 and 4,096" in lines_of([found])[0]
    [whole] = judge([CLAIM], records)
    assert whole.verdict == "holds"
