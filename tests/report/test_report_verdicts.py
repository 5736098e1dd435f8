"""What `compare` calls worse stands over all cases together, and is told in one line."""

import copy
import re

import numpy as np
import pytest
from synthetic import MIB, make_records

import run_bench
from report.compare.runs import band_of, compare_runs


@pytest.fixture(scope="module")
def few(records):
    """Return the records of 20 timed cases, all their seeds."""
    timed = [r["case"] for r in records if r.get("time")][:20]
    return [r for r in records if r["case"] in timed]


def changed(records, case, change):
    """Return the records with `change` applied to a copy of those of one case."""
    found = []
    for record in records:
        one = copy.deepcopy(record) if record["case"] == case else record
        if record["case"] == case:
            change(one)
        found.append(one)
    return found


def timed_case(records):
    return next(r["case"] for r in records if r.get("time"))


def slow_down(factor):
    def change(record):
        for process in (record.get("time") or {}).get("processes", []):
            process["samples_ms"]["step"] = [factor * ms for ms in process["samples_ms"]["step"]]

    return change


def disturb(record):
    if record.get("time"):
        record["time"]["processes"][-1]["disturbed"] = True


def memory(name, plus):
    def change(record):
        if record.get("memory"):
            record["memory"][name] += plus(record["memory"][name])

    return change


def row_of(found, case):
    return found.table.set_index("case").loc[case]


def test_a_case_slower_by_chance_alone_has_its_verdict_and_is_not_worse(few):
    """Its own interval lies above 1, at p of about 0.005: of 20 such cases one may by chance."""
    case = timed_case(few)

    def levels(*values):
        def change(record):
            if record.get("time"):
                processes = record["time"]["processes"][:3]
                for process, ms in zip(processes, values, strict=True):
                    process["samples_ms"] = {"step": [ms] * 5}
                record["time"]["processes"] = processes

        return change

    before = changed(few, case, levels(98.0, 100.0, 102.0))
    for factor, stands in ((1.045, False), (1.5, True)):
        after = changed(few, case, levels(*(factor * ms for ms in (98.0, 100.0, 102.0))))
        found = compare_runs(before, after)
        assert row_of(found, case)["verdict"] == "slower"
        assert row_of(found, case)["stands"] == ("slower" if stands else "")
        assert found.exit_code == int(stands)
        told = found.for_people.loc[found.table["case"] == case, "stands"].item()
        assert told == ("slower" if stands else "no")
    assert re.search(r"^Worse: slower: 1 of 20 cases \(LSH.*\)\.$", found.markdown(), re.MULTILINE)


def test_a_disturbed_case_is_neither_faster_nor_slower(few):
    case = timed_case(few)
    for factor in (2.0, 0.5):
        after = changed(few, case, slow_down(factor))
        assert row_of(compare_runs(few, after), case)["stands"] != ""
        for before, now in (
            (few, changed(after, case, disturb)),
            (changed(few, case, disturb), after),
        ):
            found = compare_runs(before, now)
            row = row_of(found, case)
            assert (row["verdict"], row["stands"], row["worse"]) == ("disturbed", "", "")
            assert found.exit_code == 0
            assert row["time_ratio"] == pytest.approx(factor)


@pytest.mark.parametrize(
    ("name", "plus", "worse"),
    [
        ("live_peak_bytes", lambda n: 0.04 * n, True),
        ("live_rest_bytes", lambda n: 0.04 * n, True),
        ("live_peak_bytes", lambda n: 0.02 * n, False),
        ("peak_bytes", lambda n: max(0.04 * n, 5 * MIB), True),
        ("peak_bytes", lambda n: min(0.5 * n, 3 * MIB), False),
        ("peak_bytes", lambda n: 0.02 * n, False),
        ("rest_bytes", lambda n: n, False),
    ],
)
def test_memory_is_worse_by_live_tensors_or_by_3_percent_and_4_mib(few, name, plus, worse):
    case = timed_case(few)
    found = compare_runs(few, changed(few, case, memory(name, plus)))
    assert row_of(found, case)["worse"] == ("memory" if worse else "")
    assert found.exit_code == int(worse)
    assert ("more memory: 1 of" in found.reason) == worse


def test_the_process_must_grow_by_3_percent_too(few):
    case = timed_case(few)
    large = changed(few, case, memory("peak_bytes", lambda n: 1000 * MIB))
    found = compare_runs(large, changed(large, case, memory("peak_bytes", lambda n: 5 * MIB)))
    assert found.exit_code == 0


def test_what_fails_now_is_named_with_its_reason(few):
    case = timed_case(few)
    found = compare_runs(few, changed(few, case, lambda r: r.update(status="oom", reason="9 GiB")))
    assert re.search(r"fails now: 1 of 20 cases \(LSH.*: oom: 9 GiB\)\.$", found.reason)
    assert found.reason.count("\n") == 0


def test_more_bits_are_worse_where_they_stand_and_exceed_1_percent(few):
    case = next(r["case"] for r in few if r.get("quality"))

    def more(bits):
        def change(record):
            record["quality"]["bits_per_dim"] += bits

        return change

    assert compare_runs(few, changed(few, case, more(0.001))).exit_code == 0
    found = compare_runs(few, changed(few, case, more(0.1)))
    assert (found.exit_code, row_of(found, case)["worse"]) == (1, "quality")
    assert "more bits per dim: 1 of" in found.reason


def test_the_threshold_is_the_band_of_same_and_of_slower(few):
    after = [copy.deepcopy(r) for r in few]
    for record in after:
        slow_down(1.1)(record)
    found = {percent: compare_runs(few, after, band=band_of(percent)) for percent in (3, 8, 15, 40)}
    assert [found[percent].exit_code for percent in (3, 8, 15, 40)] == [1, 1, 0, 0]
    assert set(found[40].table["verdict"].dropna()) <= {"same", "fails in both"}
    visible = found[40].table["smallest_visible"].dropna()
    assert (visible >= 0.4 - 1e-9).all()


@pytest.mark.parametrize("value", ["0", "-3", "nan", "inf", "three", ""])
def test_a_threshold_that_is_no_positive_number_is_refused(value, capsys):
    with pytest.raises(SystemExit) as left:
        run_bench.main(["compare", "a", "b", f"--threshold={value}"])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert "no positive number" in error
    assert error.count("\n") == 1


def test_a_threshold_beside_by_is_refused(capsys, run_folder):
    assert run_bench.main(["compare", "--by", "n_rounds", str(run_folder), "--threshold", "5"]) == 2
    assert "goes with two runs" in capsys.readouterr().err


def test_few_false_alarms_over_all_cases():
    """Pairs of runs of the same: in 5 of 100 something may be worse, each case being tested."""
    rng = np.random.default_rng(0)
    codes = []
    for _ in range(15):
        one, other = (make_records(seed=int(s), n_seeds=3) for s in rng.integers(1 << 30, size=2))
        codes.append(compare_runs(one, other).exit_code)
    assert sum(codes) <= 2
