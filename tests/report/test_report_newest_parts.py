"""Several runs of a case and seed are read together: the newest of each part counts."""

import copy

import pytest
from synthetic import make_records

from report.claims.check import judge
from report.claims.claim import Claim
from report.reading.captions import caption_of
from report.reading.gathering import gather

LATER, LAST = "2026-02-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"


def job(kind, status="ok"):
    return {"kind": kind, "index": 0, "status": status}


@pytest.fixture(scope="module")
def whole():
    return [r for r in make_records() if "hash_rounds" in r["suites"]]


def again(records, parts, started=LATER, **entries):
    """Measure only some parts of the first seed again, with other code."""
    found = copy.deepcopy([r for r in records if r["seed"] == 0])
    for record in found:
        record["started"] = started
        record["code"] = {"commit": "9" * 40, "dirty": False, "hash": "0ther"}
        for name in ("time", "memory", "quality"):
            if name not in parts:
                record[name] = None
        for process in (record["time"] or {}).get("processes", ()):
            process["samples_ms"] = {
                part: [2 * ms for ms in samples] for part, samples in process["samples_ms"].items()
            }
        record.update(entries)
    return found


@pytest.mark.parametrize("order", [1, -1])
def test_a_newer_time_keeps_quality_and_memory(whole, order):
    alone, both = gather(whole), gather([*whole, *again(whole, ["time"])][::order])
    both = sorted(both, key=lambda case: [one.id for one in alone].index(case.id))
    for old, now in zip(alone, both, strict=True):
        assert now.quality() == old.quality()
        assert now.memory("rest_bytes") == old.memory("rest_bytes")
        assert now.time().value == pytest.approx(2 * old.time().value)
        assert now.failure == ("", "")
        measured_by = {
            name: record["code"]["hash"]
            for record in now.records
            for name in ("time", "memory", "quality")
            if record["seed"] == 0 and record.get(name)
        }
        assert measured_by == {"time": "0ther", "memory": "feedfeedfeed", "quality": "feedfeedfeed"}
    assert "commit 999999999, 012345678" in caption_of(both)


def test_a_claim_about_quality_is_that_of_all_seeds(whole):
    lsh = {"attention": "lsh", "n_rounds": 8}
    claim = Claim(
        name="planted",
        says="{value}",
        suite="hash_rounds",
        quantity="bits per dim better",
        of=lsh,
        against={"n_rounds": 2},
        at_least=0,
    )
    alone, both = (
        judge([claim], records)[0] for records in (whole, [*whole, *again(whole, ["time"])])
    )
    assert both.found == alone.found
    assert both.found.n == 3
    assert both.notes == ()


def test_a_newer_failure_is_told_beside_what_was_measured_before(whole):
    failed = again(
        whole, [], status="diverged", reason="planted", jobs=[job("quality", "diverged")]
    )
    timed = again(whole, ["time"], LAST, jobs=[job("time")])
    for records in ([*whole, *failed], [*whole, *failed, *timed]):
        for case in gather(records):
            assert case.failure == ("diverged", "planted")
            assert sorted(case.quality()) == [0, 1, 2]


def test_a_failure_that_was_mended_since_is_not_told(whole):
    """The older record still tells what was measured only then."""
    entries = {"status": "crash", "reason": "planted", "jobs": [job("time", "crash")]}
    failed = again(whole, ["memory"], "2025-01-01T00:00:00+00:00", **entries)
    without_memory = [dict(record, memory=None) for record in whole]
    for case in gather([*failed, *without_memory]):
        assert case.failure == ("", "")
        assert case.memory("rest_bytes") > 0
    bare = again(whole, [], "2025-01-01T00:00:00+00:00", status="crash", reason="planted")
    for case in gather([*bare, *whole]):
        assert case.failure == ("", "")
        assert len(case.records) == 3
