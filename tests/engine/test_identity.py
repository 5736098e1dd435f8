"""Identities survive growth: a case's id, and the hash of the code that decides a number."""

import json
import shutil
from dataclasses import asdict, make_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pytest
from sweeps import Measure, plan_of

from suites.base import grid, unique
from suites.engine.code import MEASURED_CODE, ONLY_ON_GPUS, ROOT, code_hash
from suites.engine.store.plan import plan_from_json
from suites.engine.sweep.backlog import Backlog
from suites.engine.sweep.planning import find_suites
from suites.settings import DEFAULTS, METHOD_VERSION, Settings, change

# Changing a default gives two measurements one id: raise METHOD_VERSION, and pin both here.
PINNED_METHOD = 4
PINNED: dict[str, Any] = {
    "task": "enwiki-head",
    "n_pairs": 8,
    "attention": "lsh",
    "length": 1024,
    "batch": 1,
    "d_model": 256,
    "d_ff": 1024,
    "n_heads": 4,
    "n_layers": 2,
    "n_rounds": 4,
    "bucket_size": 32,
    "chunk_length": None,
    "chunks_before": 1,
    "within_bucket": True,
    "correct_duplicates": True,
    "logit_scale": 1.0,
    "factorize_hash": True,
    "rotation": "orthonormal",
    "kernel": "auto",
    "shared_qk": False,
    "unit_keys": True,
    "attend_self": False,
    "reversible": True,
    "ff_chunks": 1,
    "loss_chunks": 1,
    "dropout": 0.0,
    "axial_positions": None,
    "embedding_std": 1.0,
    "positions_start": "sinusoids",
    "tie_embeddings": False,
    "precision": "float32",
    "subject": "model",
    "cuda_graph": False,
    "measures": ("time", "memory", "quality"),
    "time_budget_s": 2.0,
    "processes": 3,
    "within": 0.1,
    "max_processes": 10,
    "train_steps": 100,
    "first_steps": 0,
    "first_length": 64,
    "first_batch": 8,
    "optimizer": "adamw",
    "learning_rate": 0.002,
    "warmup_steps": 20,
    "heldout_tokens": 16384,
    "evaluate_every": 0,
    "evaluate_rounds": (),
    "evaluate_as": (),
    "analyses": (),
}


def all_cases() -> list[Any]:
    found = [
        case
        for suite in find_suites().values()
        for cases in suite.presets.values()
        for case in cases
    ]
    assert len(found) > 300
    return found


def test_the_defaults_are_pinned_to_the_method() -> None:
    assert (METHOD_VERSION, DEFAULTS) == (PINNED_METHOD, PINNED)


def test_a_new_setting_with_a_default_changes_the_id_of_no_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = [case.id for case in all_cases()]
    grown: Any = make_dataclass(
        "Grown", [("warp", int, 7)], bases=(Settings,), frozen=True, slots=True, kw_only=True
    )
    monkeypatch.setattr("suites.settings.DEFAULTS", asdict(grown()))
    after = [grown(**asdict(case.settings)) for case in all_cases()]
    assert [settings.id for settings in after] == before
    assert replace(after[0], warp=8).id != before[0]


def test_the_id_has_what_is_measured_and_not_how_often() -> None:
    base = Settings()
    assert base.identifying() == {}
    for changes in (
        {"measures": ("time",)},
        {"time_budget_s": 9.0},
        {"processes": 5},
        {"within": 0.5},
        {"max_processes": 5},
        {"evaluate_every": 10},
        {"evaluate_rounds": (1, 0)},
        {"analyses": ("head",)},
        {"chunk_length": 64},  # the one in force by default
        {"logit_scale": 1},
        {"first_length": 32, "first_batch": 1},  # of no first_steps
    ):
        assert change(base, **changes).id == base.id, changes
    for changes in ({"task": "duplication"}, {"logit_scale": 2}, {"chunk_length": 32}):
        assert change(base, **changes).id != base.id, changes
    assert change(base, learning_rate=1).id == change(base, learning_rate=1.0).id


def test_a_dense_model_is_told_by_the_hashing_that_it_is_evaluated_with() -> None:
    """Trained alone it is the same case whatever the buckets; with full attention as well."""
    dense = Settings(attention="sdpa", shared_qk=True)
    seen = replace(dense, evaluate_rounds=(4, 0))
    assert seen.id == dense.id
    for changes in (
        {"bucket_size": 16},
        {"chunk_length": 32},
        {"chunks_before": 0},
        {"rotation": "normal"},
        {"within_bucket": False},
    ):
        otherwise = replace(dense, **changes)
        assert otherwise.id == replace(otherwise, evaluate_rounds=(0,)).id == dense.id, changes
        assert replace(seen, **changes).id != dense.id, changes
        for joined in (seen.joined(otherwise), otherwise.joined(seen)):
            assert joined.id == dense.id
            assert joined.evaluate_rounds == (4, 0)
            assert joined.lsh() == seen.lsh()
    assert replace(seen, n_rounds=2).id == dense.id


def test_local_attention_is_told_by_its_chunk_and_not_by_buckets_and_rounds() -> None:
    base = Settings(attention="local")
    assert base.identifying() == {"attention": "local"}
    for changes in (
        {"n_rounds": 1},
        {"bucket_size": 16, "chunk_length": 64},
        {"within_bucket": False, "correct_duplicates": False, "factorize_hash": False},
        {"evaluate_rounds": (1, 0)},
        {"shared_qk": True},
    ):
        assert change(base, **changes).id == base.id, changes
    assert change(base, bucket_size=16).id == change(base, chunk_length=32).id != base.id
    for changes in ({"chunks_before": 2}, {"logit_scale": 2.0}, {"kernel": "plain"}):
        assert change(base, **changes).id != base.id, changes


def test_the_numbers_of_numpy_and_the_lists_of_json_make_the_same_case() -> None:
    plain = Settings(length=512, learning_rate=0.5, axial_positions=(16, 32), reversible=False)
    given = Settings(
        length=np.int64(512),
        learning_rate=np.float64(0.5),
        axial_positions=[np.int32(16), 32],
        reversible=np.bool_(False),
    )
    assert (given, given.id) == (plain, plain.id)
    assert json.dumps(given.identifying())
    with pytest.raises(ValueError, match="reversible is 'false'; it must be True or False"):
        Settings(reversible="false")


def test_the_same_training_is_done_once_for_all_suites_that_want_it() -> None:
    base = Settings(train_steps=7)
    cases = [
        *grid(change(base, measures=("quality",)), evaluate_rounds=[(1, 2)]),
        *grid(base, evaluate_rounds=[(0,)]),
    ]
    (case,) = unique(cases)
    assert case.settings.measures == ("time", "memory", "quality")
    assert case.settings.evaluate_rounds == (1, 2, 0)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The measured packages, and some that are not, in a folder of their own."""
    for part in ("reformer", "baselines", "suites", "report"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    "file",
    [
        "reformer/hashing.py",
        "reformer/kernels/native/simd.h",
        "reformer/kernels/native/attention.cpp",
        "baselines/peers/transformers.py",
        "suites/settings.py",
        "suites/tasks/text.py",
        "suites/engine/measure/timing.py",
    ],
)
def test_code_that_decides_a_number_is_in_the_hash(copy: Path, file: str) -> None:
    before = code_hash("cpu", copy)
    assert before == code_hash("cpu", ROOT)
    with (copy / file).open("a") as text:
        text.write("\n// or # changed\n")
    assert code_hash("cpu", copy) != before


@pytest.mark.parametrize(
    "file",
    [
        "suites/a_new_suite.py",
        "suites/layers.py",
        "suites/base.py",
        "suites/labels.py",
        "suites/presets.py",
        "suites/engine/sweep/progress.py",
        "suites/engine/sweep/scheduler.py",
        "suites/engine/store/records.py",
        "report/page/page.py",
        "report/a_new_figure.py",
    ],
)
def test_code_that_decides_no_number_is_not(copy: Path, file: str) -> None:
    before = code_hash("cpu", copy)
    with (copy / file).open("a") as text:
        text.write("\n# changed\n")
    assert code_hash("cpu", copy) == before


def test_the_kernel_of_gpus_is_in_the_hash_of_what_they_measure_alone(copy: Path) -> None:
    before = [code_hash(device, copy) for device in ("cpu", "cuda")]
    with (copy / "reformer/kernels/triton/forward.py").open("a") as text:
        text.write("\n# changed\n")
    after = [code_hash(device, copy) for device in ("cpu", "cuda")]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_all_that_is_named_as_measured_is_there() -> None:
    assert all((ROOT / part).exists() for part in (*MEASURED_CODE, *ONLY_ON_GPUS))


def test_a_renamed_label_leaves_a_plan_as_it_was(measure: Measure) -> None:
    plan = plan_of([planted.settings_for(planted.HEALTHY, length=n) for n in (64, 128)])
    folder, _ = measure(plan)
    content = plan.to_json()
    for row in content["cases"]:
        row["label"] = "another name"
    again = plan_from_json(content)
    assert again.outdated == ""
    assert list(again.entries) == list(plan.entries)
    assert Backlog(folder, again).open_jobs() == []
