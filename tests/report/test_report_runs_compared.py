"""What two runs lost is told: `compare` pairs like with like and looks at all that was measured."""

import copy

import pytest
from synthetic import make_records

from report.compare.runs import compare_runs


def rounds_of(seed):
    return [record for record in make_records(seed) if "hash_rounds" in record["suites"]]


@pytest.fixture(scope="module")
def before():
    return rounds_of(0)


@pytest.fixture(scope="module")
def after():
    return rounds_of(1)


def on(machine, records, slower=1.0):
    found = copy.deepcopy(records)
    for record in found:
        record["identity"] = {**record["identity"], "machine": machine}
        for process in (record.get("time") or {}).get("processes", ()):
            process["samples_ms"] = {
                part: [slower * ms for ms in samples]
                for part, samples in process["samples_ms"].items()
            }
    return found


def test_each_machine_is_compared_with_itself(before, after):
    """Y is 3 times slower than before, X as it was; the order of the two differs."""
    olds = [*on("X", before), *on("Y", before, 3)]
    found = compare_runs(olds, [*on("Y", after, 9), *on("X", after)], mixed=True)
    assert found.exit_code == 1
    assert len(found.table) == 2 * len({record["case"] for record in before})
    timed = found.table.dropna(subset=["time_ratio"])
    for machine, ratio in (("X", 1), ("Y", 3)):
        own = timed[timed["label"].str.contains(f"machine {machine}", regex=False)]
        assert list(own["time_ratio"]) == [pytest.approx(ratio, rel=0.03)] * len(own)
        assert len(own) == len(timed) / 2
    assert not any("Not compared" in note for note in found.notes)


def test_a_machine_that_only_one_side_has_is_not_compared_with_another(before, after):
    olds = [*on("X", before), *on("Y", before, 3)]
    n_cases = len({record["case"] for record in before})
    found = compare_runs(olds, [*on("X", after), *on("Z", after)], mixed=True)
    assert len(found.table) == n_cases
    assert f"Not compared: {n_cases} cases only in the first, {n_cases} cases" in found.notes[-1]
    with pytest.raises(ValueError, match="no case in common"):
        compare_runs(olds, on("Z", after), mixed=True)
    assert len(compare_runs(on("X", before), on("Z", after), mixed=True).table) == n_cases


def failing(records, status, parts, seeds=(0, 1, 2)):
    found = copy.deepcopy(records)
    for record in found:
        if record["seed"] in seeds:
            record.update({"status": status, "reason": "planted", **dict.fromkeys(parts)})
    return found


ALL = ("time", "memory", "quality")


@pytest.mark.parametrize(
    ("status", "parts", "seeds", "verdict"),
    [
        ("crash", ALL, (0, 1, 2), "fails now"),
        ("oom", ["time"], [0], "fails now"),
        ("diverged", ["quality"], [1], "fails now"),
        ("diverged", ["quality"], [2], "fails in both"),
        ("skipped", ALL, (0, 1, 2), "left out now"),
    ],
)
def test_a_seed_that_failed_before_hides_no_other_failure(
    before, after, status, parts, seeds, verdict
):
    olds = failing(before, "diverged", ["quality"], [2])
    found = compare_runs(olds, failing(after, status, parts, seeds))
    assert set(found.table["verdict"]) == {verdict}
    assert found.exit_code == int(verdict == "fails now")
    assert ("fails now: 5 of 5 cases" in found.reason) == (verdict == "fails now")
    assert compare_runs(olds, after).exit_code == 0


def of_recall(records):
    return [{**record, "settings": {**record["settings"], "task": "recall"}} for record in records]


def with_quality(records, change):
    found = copy.deepcopy(records)
    for record in found:
        change(record["quality"])
    return found


def less_right(quality):
    quality["accuracy"] -= 0.2


def more_bits(quality):
    quality["bits_per_dim"] += 0.5


def test_a_task_is_judged_by_what_it_is_judged_by_everywhere(before):
    bits, recall = before, of_recall(before)
    for records, change, worse in (
        (bits, more_bits, "quality"),
        (bits, less_right, ""),
        (recall, less_right, "accuracy"),
        (recall, more_bits, ""),
    ):
        found = compare_runs(records, with_quality(records, change))
        assert set(found.table["worse"]) == {worse}
        assert found.exit_code == int(worse != "")
    found = compare_runs(recall, with_quality(recall, less_right))
    assert "less accuracy: 5 of 5 cases" in found.reason
    assert list(found.table["accuracy_change"]) == [pytest.approx(-20)] * 5
    assert set(found.for_people["points of accuracy"].str.split().str[0]) == {"-20.0"}
    assert set(found.for_people["stands"]) == {"less accuracy"}
    back = compare_runs(with_quality(recall, less_right), recall)
    assert set(back.table["stands"]) == {"more accuracy"}
    assert back.exit_code == 0


@pytest.mark.parametrize(("task", "change"), [("", more_bits), ("recall", less_right)])
def test_a_change_with_other_attention_is_told(before, task, change):
    records = of_recall(before) if task else before
    n_reformers = len({r["case"] for r in records if r["settings"]["attention"] == "lsh"})

    def with_full(quality):
        if "full" in quality["evaluated_with"]:
            change(quality["evaluated_with"]["full"])

    found = compare_runs(records, with_quality(records, with_full))
    assert found.exit_code == 1
    assert list(found.table["worse"]).count("evaluated") == n_reformers
    assert f"worse with other attention: {n_reformers} of {n_reformers} cases" in found.reason
    words = "less accuracy" if task else "more bits"
    assert f"{words} evaluated with full attention" in set(found.table["stands"])
