"""From the command line to a plan: conditions, ids, what a plan looks like on disk."""

import json
import math
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweeps import plan_of

from suites.base import Case, Suite, grid
from suites.effects import HOW, LSH_ONLY, NOT_LOCAL, QUALITY_ONLY
from suites.engine.store.plan import extend, plan_from_json
from suites.engine.store.runs import run_folder
from suites.engine.sweep.key_values import condition
from suites.engine.sweep.planning import Asked, find_suites, left_behind, make_plan
from suites.settings import Settings

VALUES: dict[str, Any] = {
    "length": st.sampled_from([64, 128, 4096]),
    "attention": st.sampled_from(["lsh", "local", "sdpa", "naive"]),
    "n_rounds": st.integers(1, 8),
    "bucket_size": st.sampled_from([16, 32]),
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
    def what(settings: Settings) -> dict[str, Any]:
        return {k: v for k, v in settings.measured().items() if k not in HOW}

    if a.id == b.id:
        shared = what(a).keys() & what(b).keys()
        assert all(what(a)[name] == what(b)[name] for name in shared)
    if what(a) == what(b):
        assert a.id == b.id


@given(SETTINGS, st.data())
def test_what_has_no_effect_is_not_in_the_id(one: Settings, data: st.DataObject) -> None:
    without = {"lsh": (), "local": NOT_LOCAL}
    unused = {*HOW, *without.get(one.attention, LSH_ONLY)}
    unused |= set(QUALITY_ONLY) if one.subject == "attention" else set()
    unused &= set(VALUES)
    unused -= {"bucket_size"} if one.chunk_length is None else set()  # by default half a chunk
    values = {f.name: getattr(one, f.name) for f in fields(Settings)}
    changed = Settings(**values | {name: data.draw(VALUES[name]) for name in sorted(unused)})
    assert Case(settings=one).id == Case(settings=changed).id


def test_a_grown_suite_measures_only_the_new_cases() -> None:
    grown = grid(Settings(), attention=["sdpa", "lsh"], length=[256, 128, 64])
    ids = {case.id for case in TINY.cases("quick")}
    assert ids < {case.id for case in grown}
    assert len(grown) == len(ids) + 2


def test_a_case_of_two_suites_stands_once_and_names_both() -> None:
    plan = make_plan("x", Asked(preset="quick"), SUITES)
    shared = [entry.suites for entry in plan.entries.values() if len(entry.suites) > 1]
    assert shared == [("tiny", "other")]
    assert len(plan.entries) == 5
    assert plan.seeds == [0]
    assert make_plan("x", Asked(preset="cpu"), SUITES).seeds == [0, 1, 2]


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
    ("asked", "said"),
    [
        ({"suites": ["tinny"]}, "unknown suite 'tinny'; did you mean 'tiny'"),
        ({"preset": "quik"}, "unknown preset 'quik'; did you mean 'quick'"),
        ({"suites": ["tiny"], "preset": "cpu"}, "'tiny' has no preset 'cpu'; it has quick: ask"),
        ({"n_seeds": 0}, "--seeds is 0"),
        ({"where": ["lenght=1"]}, "did you mean 'length'"),
        ({"where": ["length"]}, "not of the form key=value"),
        ({"where": ["length=65"]}, "no case of any suite"),
        ({"where": ["length=64", "length=65"]}, "at preset 'quick' fulfils length=65; see"),
        (
            {"where": ["attention=sdpa", "n_rounds=4", "attention=lsh"]},
            "fulfils attention=sdpa together with n_rounds=4; see",
        ),
        ({"changes": ["d_modl=64"]}, "did you mean 'd_model'"),
        ({"changes": ["d_model=64", "d_model=128"]}, "--set gives 'd_model' twice"),
        ({"changes": ["d_model"]}, "not of the form KEY=VALUE"),
        ({"changes": ["d_model=wide"]}, "d_model must be a whole number"),
        ({"changes": ["learning_rate=fast"]}, "learning_rate must be a finite number"),
        ({"changes": ["reversible=maybe"]}, "reversible must be true or false"),
        ({"changes": ["axial_positions=8"]}, "takes 2 values"),
        ({"changes": ["batch=0"]}, "no case can be changed as --set says: batch is 0"),
        ({"changes": ["attention=spda"]}, "did you mean 'sdpa'"),
        ({"changes": ["task=enwik9"]}, "did you mean 'enwik8'"),
    ],
)
def test_misspelt_plans_are_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        make_plan("x", Asked(**({"preset": "quick"} | asked)), SUITES)


def test_set_changes_every_case_and_its_id_and_label() -> None:
    plain = make_plan("x", Asked(preset="quick"), SUITES)
    changes = ["d_model=512", "n_rounds=2", "axial_positions=8,32", "chunk_length=none"]
    plan = make_plan("x", Asked(preset="quick", changes=changes), SUITES)
    assert not set(plan.entries) & set(plain.entries)
    for entry in plan.entries.values():
        s = entry.case.settings
        assert (s.d_model, s.n_rounds, s.axial_positions) == (512, 2, (8, 32))
        assert s.chunk_length is None
    extend(plain, plan)
    names = plain.labels().values()
    assert len(set(names)) == len(plain.entries)
    assert all("width 512" in name for name in plan.labels().values())


def test_conditions_are_on_what_set_made() -> None:
    asked = Asked(preset="quick", changes=["length=64"], where=["length=64"])
    assert {e.case.settings.length for e in make_plan("x", asked, SUITES).entries.values()} == {64}


def test_own_text_takes_the_place_of_text_alone() -> None:
    tasks = grid(Settings(), task=["enwiki-head", "enwik8", "duplication"])
    suite = Suite(question="?", varies="length", presets={"quick": tasks})
    plan = make_plan("x", Asked(preset="quick", own_text=True), {"all": suite})
    found = [entry.case.settings.task for entry in plan.entries.values()]
    assert found == ["text", "duplication"]


def test_what_set_makes_impossible_is_skipped_with_its_reason() -> None:
    """Where it is so in all cases it is a mistake."""
    some = grid(Settings(), d_model=[192, 256])
    suite = Suite(question="?", varies="d_model", presets={"quick": some})
    plan = make_plan("x", Asked(preset="quick", changes=["n_heads=3"]), {"all": suite})
    skips = [entry.case.skip for entry in plan.entries.values()]
    assert skips[0] == ""
    assert "d_model 256 is not a multiple" in skips[1]
    with pytest.raises(ValueError, match="no case can be measured as --set says: d_model 256 is"):
        make_plan("x", Asked(preset="quick", changes=["n_heads=3"]), SUITES)


def test_what_set_makes_illegal_in_some_cases_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern over two kinds of layers needs two layers."""
    some = grid(Settings(), attention=["lsh", "local+lsh"])
    suite = Suite(question="?", varies="attention", presets={"quick": some})
    plan = make_plan("x", Asked(preset="quick", changes=["n_layers=1"]), {"all": suite})
    assert [entry.case.settings.attention for entry in plan.entries.values()] == ["lsh"]
    assert "note: 1 of 2 cases are left out, --set is illegal" in capsys.readouterr().err


@pytest.mark.parametrize("name", find_suites())
def test_no_suite_plans_a_model_that_cannot_be(name: str) -> None:
    suite = find_suites()[name]
    skipped = {case.skip for preset in suite.presets for case in suite.cases(preset)} - {""}
    assert all("installed" in reason for reason in skipped), skipped


@pytest.mark.parametrize(
    ("name", "value", "legal"),
    [
        *((name, -1, "0 or more") for name in ("warmup_steps", "evaluate_every")),
        ("warmup_steps", 0.5, "an integer"),
        ("evaluate_rounds", (4, -2), "0 or more"),
        *(
            (name, value, "positive and finite")
            for name in ("within", "learning_rate", "time_budget_s")
            for value in (0.0, -2.0, math.inf, math.nan, "fast", True)
        ),
    ],
)
def test_numbers_that_no_training_and_no_timing_can_have_are_refused(
    name: str, value: Any, legal: str
) -> None:
    with pytest.raises(ValueError, match=rf"{name} is .*it must be .*{legal}"):
        Settings(**{name: value})


def test_a_case_that_no_suite_has_any_more_stays_in_the_plan() -> None:
    plan = make_plan("x", Asked(preset="quick", suites=["tiny"], where=["length=64"]), SUITES)
    assert left_behind(plan, SUITES) == []
    assert left_behind(plan, {"tiny": OTHER}) == [*plan.entries]
    assert left_behind(plan, {}) == [*plan.entries]


def test_joined_settings_are_measured_as_often_as_either_asks() -> None:
    one = Settings(measures=("time",), processes=4, evaluate_rounds=(1, 2), evaluate_every=6)
    one = replace(one, analyses=("head", "past only"))
    two = Settings(measures=("quality", "memory"), time_budget_s=9.0, evaluate_rounds=(2, 0))
    one, two = replace(one, within=0.05), replace(two, max_processes=20, analyses=("head",))
    for both in (one.joined(two), two.joined(one)):
        assert both.id == one.id == two.id
        assert both.measures == ("time", "memory", "quality")
        assert (both.processes, both.time_budget_s, both.evaluate_every) == (4, 9.0, 6)
        assert (both.within, both.max_processes) == (0.05, 20)
        assert set(both.evaluate_rounds) == {1, 2, 0}
        assert sorted(both.analyses) == ["head", "past only"]
    assert replace(two, evaluate_every=4).joined(one).evaluate_every == 2


@given(SETTINGS, SETTINGS)
def test_settings_of_one_case_join_to_the_same_case(one: Settings, two: Settings) -> None:
    if one.id == two.id:
        assert one.joined(two).id == one.id


def test_every_suite_of_the_package_is_found() -> None:
    root = Path(__file__).parents[2] / "suites"
    files = {p.stem for p in root.glob("*.py") if "\nSUITE = " in p.read_text()}
    assert set(find_suites()) == files
    assert {"sequence_length", "hash_rounds", "bucket_size", "layers"} <= files


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", ".hidden", "../up", "-x", "~", " ", "a ", "x.json"]
)
def test_run_names_stay_in_the_folder_of_runs_and_can_be_typed(name: str) -> None:
    with pytest.raises(ValueError, match="plain folder name"):
        run_folder(name)
