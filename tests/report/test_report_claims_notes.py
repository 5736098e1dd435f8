"""A claim needs enough seeds, and what went wrong in its cases is told beside it."""

import copy

import pytest
from synthetic import make_records

from report.claims.check import exit_code, judge, lines_of
from report.claims.claim import Claim
from report.reading.gathering import gather

OF = {"attention": "lsh", "length": 2048, "n_rounds": 4}
DENSE = {"attention": "sdpa", "reversible": False}
BOUNDS = {"bits per dim better": {"at_most": 0}, "times faster": {"at_most": 1}, "crossover": {}}


def claim(quantity):
    of = {**OF} if quantity != "crossover" else {"attention": "lsh", "n_rounds": 4}
    bounds = BOUNDS[quantity] or {"at_most": 8192}
    told = {"name": "planted", "says": "it is {value}", "suite": "sequence_length"}
    return Claim(quantity=quantity, of=of, against=DENSE, **told, **bounds)


@pytest.fixture(scope="module")
def whole():
    return [r for r in make_records() if "sequence_length" in r["suites"]]


def changed(records, change, **wanted):
    """Change a copy of the records that have these settings, or this seed."""
    found = copy.deepcopy(records)
    for record in found:
        if all(value in (record["settings"].get(k), record.get(k)) for k, value in wanted.items()):
            change(record)
    return found


def judged(quantity, records):
    [found] = judge([claim(quantity)], records)
    return found, lines_of([found])[0]


def test_a_claim_about_whole_records_holds_without_a_word(whole):
    for quantity in BOUNDS:
        found, line = judged(quantity, whole)
        assert found.verdict == "holds"
        assert found.notes == ()
        assert "; but" not in line


@pytest.mark.parametrize("attention", ["lsh", "sdpa"])
def test_two_seeds_make_no_claim_about_quality(whole, attention):
    two = [r for r in whole if r["seed"] != 2 or r["settings"]["attention"] != attention]
    found, line = judged("bits per dim better", two)
    assert (found.verdict, exit_code([found])) == ("inconclusive", 2)
    assert "rests on 2 seeds, a claim about quality needs 3" in line
    assert judged("times faster", two)[0].verdict == "holds"


def diverge(record):
    record.update(status="diverged", reason="planted", quality=None)


def test_a_seed_that_diverged_is_told_where_quality_is_claimed(whole):
    three = changed(whole, diverge, seed=2, attention="lsh")
    found, line = judged("bits per dim better", three)
    assert found.verdict == "inconclusive"
    assert line.endswith("; but 1 of 6 trainings diverged")
    four = changed(make_records(n_seeds=4), diverge, seed=3, attention="lsh")
    found, line = judged("bits per dim better", four)
    assert found.verdict == "holds"
    assert line.endswith("; but 1 of 8 trainings diverged")
    assert judged("times faster", four)[0].notes == ()


def test_disturbed_processes_and_failed_timings_are_told(whole):
    def disturb(record):
        for process in (record.get("time") or {}).get("processes", ()):
            process["disturbed"] = True

    found, line = judged("times faster", changed(whole, disturb, attention="sdpa"))
    assert found.verdict == "holds"
    assert line.endswith("; but 3 of 6 timed processes disturbed")
    assert judged("bits per dim better", changed(whole, disturb))[0].notes == ()

    def run_out(record):
        record.update(status="oom", reason="planted", time=None)

    found, line = judged("crossover", changed(whole, run_out, attention="lsh", length=8192))
    assert found.verdict == "holds"
    assert line.endswith("; but 1 of 10 timings out of memory")


@pytest.mark.parametrize("quantity", BOUNDS)
def test_different_code_of_two_sides_is_told(whole, quantity):
    def other(record):
        record["code"] = {**record["code"], "hash": "0ther"}

    found, line = judged(quantity, changed(whole, other, attention="lsh"))
    assert found.verdict == "holds"
    assert "; but measured with different code, 0ther and feedfeedfeed" in line


def test_a_case_without_a_version_belongs_to_the_group_of_each(whole):
    """Two versions of what a peer attends with split the peer's records, not the machine's."""
    peer = [r for r in whole if r["settings"]["attention"] == "naive"]
    two = [
        {**r, "versions": {"naive": version}, "settings": {**r["settings"]}}
        for version in ("4.1", "5.0")
        for r in peer
    ]
    records = [*(r for r in whole if r["settings"]["attention"] != "naive"), *two]
    [own] = judge([claim("times faster")], records)
    assert (own.verdict, own.mark) == ("holds", "")
    across = Claim(
        name="planted",
        says="it is {value}",
        suite="sequence_length",
        quantity="times faster",
        of=OF,
        against={"attention": "naive", "reversible": False},
        at_least=0,
    )
    found = judge([across], records)
    assert [one.mark for one in found] == ["naive 4.1", "naive 5.0"]
    assert [one.verdict for one in found] == ["holds", "holds"]
    assert {case.mark for case in gather(records, mixed=True)} == {"", "naive 4.1", "naive 5.0"}
    machine = [{**r, "identity": {**r["identity"], "machine": "another"}} for r in records]
    marks = [one.mark for one in judge([claim("times faster"), across], [*records, *machine])]
    assert len(marks) == 6
    assert sum("naive" in mark for mark in marks) == 4
    assert all(mark.startswith("machine ") for mark in marks)
