"""From the command line to a plan: conditions, ids, what a plan looks like on disk."""

import itertools
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweeps import plan_of

from suites.base import Case, Suite, grid
from suites.engine.store.records import append_record, read_records
from suites.engine.store.runs import RunFolder, plan_from_json
from suites.engine.sweep.planning import (
    check_current,
    condition,
    find_suites,
    make_plan,
    parse_data,
)
from suites.settings import LSH_ONLY, QUALITY_ONLY, TIME_ONLY, Settings

VALUES: dict[str, Any] = {
    "length": st.sampled_from([64, 128, 4096]),
    "attention": st.sampled_from(["lsh", "sdpa", "naive"]),
    "n_rounds": st.integers(1, 8),
    "chunk_length": st.sampled_from([None, 32, 64]),
    "reversible": st.booleans(),
    "dropout": st.sampled_from([0.0, 0.1, 0.25]),
    "axial_positions": st.sampled_from([None, (64, 64), (32, 256)]),
    "evaluate_rounds": st.sampled_from([(), (1,), (1, 2, 4, 8, 0)]),
    "measures": st.sampled_from([("time",), ("time", "memory"), ("quality",)]),
    "train_steps": st.integers(1, 2000),
    "time_budget_s": st.floats(0.01, 30),
}
SETTINGS = st.fixed_dictionaries(VALUES).map(lambda values: Settings(**values))
TINY = Suite(
    question="?",
    varies="length",
    presets={"quick": grid(Settings(), length=[64, 128], attention=["lsh", "sdpa"])},
)
OTHER = Suite(
    question="?",
    varies="length",
    presets={"quick": grid(Settings(), length=[128, 256]), "cpu": grid(Settings(), length=[64])},
)
SUITES = {"tiny": TINY, "other": OTHER}


@given(st.lists(SETTINGS, min_size=1, max_size=5))
def test_a_plan_survives_the_disk(chosen: list[Settings]) -> None:
    plan = plan_of(chosen)
    assert plan_from_json(json.loads(json.dumps(plan.to_json()))) == plan


@given(SETTINGS, SETTINGS)
def test_two_cases_share_an_id_exactly_when_they_measure_the_same(a: Settings, b: Settings) -> None:
    assert (Case(settings=a).id == Case(settings=b).id) == (a.measured() == b.measured())


@given(SETTINGS, st.data())
def test_what_has_no_effect_is_not_in_the_id(one: Settings, data: st.DataObject) -> None:
    unused = set(LSH_ONLY) if one.attention != "lsh" else set()
    unused |= set(TIME_ONLY) if "time" not in one.measures else set()
    unused |= set(QUALITY_ONLY) if "quality" not in one.measures else set()
    unused &= set(VALUES)
    values = {f.name: getattr(one, f.name) for f in fields(Settings)}
    changed = Settings(**values | {name: data.draw(VALUES[name]) for name in sorted(unused)})
    assert Case(settings=one).id == Case(settings=changed).id


def test_a_grown_suite_measures_only_the_new_cases() -> None:
    grown = grid(Settings(), attention=["sdpa", "lsh"], length=[256, 128, 64])
    ids = {case.id for case in TINY.cases("quick")}
    assert ids < {case.id for case in grown}
    assert len(grown) == len(ids) + 2


def test_a_case_of_two_suites_stands_once_and_names_both() -> None:
    plan = make_plan("x", [], "quick", None, [], SUITES)
    shared = [entry.suites for entry in plan.entries.values() if len(entry.suites) > 1]
    assert shared == [("tiny", "other")]
    assert len(plan.entries) == 5
    assert plan.seeds == [0]
    assert make_plan("x", [], "cpu", None, [], SUITES).seeds == [0, 1, 2]


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(SETTINGS, SETTINGS, st.sampled_from(sorted(VALUES)))
def test_conditions_compare_values_and_not_their_spelling(
    one: Settings, other: Settings, name: str
) -> None:
    effective, elsewhere = other.measured(), one.measured()
    value = effective.get(name)
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()
    keep = condition([f"{name}={text}"])
    assert keep(Case(settings=other)) == (name in effective)
    if name in effective:
        assert keep(Case(settings=one)) == (name in elsewhere and elsewhere[name] == value)


def test_conditions_on_one_key_are_alternatives_and_keys_must_all_hold() -> None:
    cases = grid(Settings(), length=[64, 128, 256], attention=["lsh", "sdpa"])
    keep = condition(["length=64", "length=256.0", "attention=sdpa"])
    kept = [(c.settings.length, c.settings.attention) for c in cases if keep(c)]
    assert kept == [(64, "sdpa"), (256, "sdpa")]


def test_conditions_are_on_settings_in_force() -> None:
    cases = [*grid(Settings(), n_rounds=[2, 4]), *grid(Settings(), attention=["sdpa"])]
    assert [c.settings.attention for c in cases if condition(["n_rounds=4"])(c)] == ["lsh"]
    kept = [case for case in cases if condition(["chunk_length=64"])(case)]
    assert len(kept) == 2, "by default two buckets of 32"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((["tinny"], "quick", None, []), "unknown suite 'tinny'; did you mean 'tiny'"),
        (([], "quik", None, []), "unknown preset 'quik'; did you mean 'quick'"),
        ((["tiny"], "cpu", None, []), "unknown preset 'cpu'"),
        (([], "quick", 0, []), "--seeds is 0"),
        (([], "quick", None, ["lenght=1"]), "did you mean 'length'"),
        (([], "quick", None, ["length"]), "not of the form key=value"),
        (([], "quick", None, ["length=65"]), "no case of any suite"),
    ],
)
def test_misspelt_plans_are_refused(arguments: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_plan("x", *arguments, SUITES)


def test_data_paths_belong_to_a_task_of_the_plan() -> None:
    assert parse_data(["enwik8=a=b"], ["enwik8"]) == {"enwik8": "a=b"}
    with pytest.raises(ValueError, match="did you mean 'enwik8'"):
        parse_data(["enwik9=x"], ["enwik8"])
    with pytest.raises(ValueError, match="not of the form NAME=PATH"):
        parse_data(["enwik8"], ["enwik8"])


def test_a_case_that_a_suite_no_longer_has_is_noticed() -> None:
    plan = make_plan("x", ["tiny"], "quick", None, ["length=64"], SUITES)
    check_current(plan, SUITES)
    with pytest.raises(ValueError, match="suite 'tiny' has no case"):
        check_current(plan, {"tiny": OTHER})
    with pytest.raises(ValueError, match="suite 'tiny' has no case"):
        check_current(plan, {})


def test_every_suite_of_the_package_is_found() -> None:
    root = Path(__file__).parents[2] / "suites"
    files = {p.stem for p in root.glob("*.py") if "\nSUITE = " in p.read_text()}
    assert set(find_suites()) == files
    assert {"sequence_length", "hash_rounds", "bucket_size", "layers"} <= files


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
COUNTER = itertools.count()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=4), st.data())
def test_records_survive_the_disk_and_a_torn_last_line(
    tmp_path: Path, records: list[dict[str, Any]], data: st.DataObject
) -> None:
    path = tmp_path / f"{next(COUNTER)}.jsonl"
    for record in records:
        append_record(path, record)
    assert read_records(path) == records
    content = path.read_bytes()
    last = len(content[:-1].rpartition(b"\n")[2])
    # a line that lost its last byte or more, the newline not counted
    path.write_bytes(content[: -1 - data.draw(st.integers(1, last))])
    assert read_records(path) == records[:-1]
    append_record(path, {"after": 1})
    assert read_records(path) == [*records[:-1], {"after": 1}]


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "../up"])
def test_run_names_stay_inside_the_folder_of_runs(name: str) -> None:
    with pytest.raises(ValueError, match="plain folder name"):
        RunFolder(name)
