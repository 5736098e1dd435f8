"""What stands beside a Reformer is fair: every rival, half of the tokens whole, a rate for each."""

import json
from collections.abc import Mapping
from itertools import product
from statistics import mean
from typing import Any

import pytest

from suites import presets
from suites.base import make_case
from suites.effects import HOW
from suites.engine.code import ROOT
from suites.engine.store.records import read_records
from suites.engine.sweep.planning import find_suites
from suites.presets import (
    CPU,
    CPU_HALF,
    PAPER,
    at_length,
    dense,
    dense_with_means,
    local,
    ordinary,
    separate,
)
from suites.settings import TEXT_TASKS, Settings

OF_MODELS = ("sequence_length", "hash_rounds", "bucket_size", "layers", "million", "components")
OF_CALLS = ("attention_speed", "attention_length")
SUITES = find_suites()
MEANS = ("reversible", "ff_chunks", "loss_chunks")


def settings_of(suite: str, preset: str) -> list[Settings]:
    return [case.settings for case in SUITES[suite].cases(preset)]


def means(settings: Settings) -> tuple[Any, ...]:
    return tuple(getattr(settings, name) for name in MEANS)


@pytest.mark.parametrize("preset", ["quick", "cpu", "paper"])
@pytest.mark.parametrize("suite", OF_MODELS)
def test_local_and_both_dense_forms_stand_beside_the_reformer(suite: str, preset: str) -> None:
    found = settings_of(suite, preset)
    beside = next(s for s in found if s.attention == "local" and s.reversible)
    ours = next(s for s in found if s.attention == "lsh" and means(s) == means(beside))
    assert means(ours) != means(ordinary(ours))
    shared = [means(s) for s in found if s.attention == "sdpa" and s.shared_qk]
    assert {means(ours), (False, 1, 1)} <= {*shared}


@pytest.mark.parametrize("preset", ["quick", "cpu", "paper"])
@pytest.mark.parametrize("suite", OF_CALLS)
def test_local_attention_is_called_at_every_length_of_ours(suite: str, preset: str) -> None:
    found = settings_of(suite, preset)
    lengths = {s.length for s in found if s.attention == "lsh"}
    assert {s.length for s in found if s.attention == "local"} == lengths


@pytest.mark.parametrize("suite", ["sequence_length", "layers"])
def test_lsh_with_ordinary_layers_shows_what_they_save(suite: str) -> None:
    found = {means(s) for s in settings_of(suite, "cpu") if s.attention == "lsh"}
    assert (False, 1, 1) in found
    assert len(found) == 2


@pytest.mark.parametrize("preset", ["quick", "cpu", "paper"])
def test_components_are_all_combinations_and_chunks_are_trained_once(preset: str) -> None:
    """Of LSH or not, reversible or not, in pieces or not, all else equal at each size."""
    sizes: dict[tuple[int, int], list[Settings]] = {}
    for s in settings_of("components", preset):
        if "time" in s.measures and s.attention != "local":
            sizes.setdefault((s.length, s.n_layers), []).append(s)
    for found in sizes.values():
        parts = [(s.attention, s.reversible, s.ff_chunks > 1) for s in found]
        assert set(parts) == set(product(("lsh", "sdpa"), (False, True), (False, True)))
        assert len(parts) == 8
        alike = [{**s.measured(), **dict.fromkeys(MEANS)} for s in found]
        for name in set.intersection(*({*one} for one in alike)) - {"attention", "measures"}:
            assert len({repr(one[name]) for one in alike}) == 1, name
        for s in found:
            assert (s.ff_chunks > 1) == (s.loss_chunks > 1)
    trained = [s for s in next(iter(sizes.values())) if "quality" in s.measures]
    functions = {(s.attention, s.reversible) for s in trained}
    assert len(functions) == len(trained) == 4


def test_the_papers_twelve_layers_are_measured_in_memory_alone() -> None:
    (found,) = (s for s in settings_of("components", "cpu") if s.n_layers == 12)
    assert found.measures == ("memory",)
    assert (found.d_model, found.d_ff, found.n_heads, found.length) == (1024, 4096, 8, 65536)
    assert (found.attention, found.reversible, found.ff_chunks > 1) == ("lsh", True, True)
    assert found.optimizer == "adafactor"
    assert found.task != "enwik8", "a text that is there without asking"


@pytest.mark.parametrize("preset", ["cpu", "paper"])
def test_layers_of_several_kinds_differ_in_attention_alone(preset: str) -> None:
    found = settings_of("layer_kinds", preset)
    kinds = [[s.kinds[i % len(s.kinds)] for i in range(s.n_layers)] for s in found]
    shares = [(of.count("lsh") / len(of), of.count("local") / len(of)) for of in kinds]
    assert shares == [(1, 0), (0.5, 0.5), (0.25, 0.75), (0, 1), (0, 0)]
    assert len({means(s) for s in found}) == 1
    assert len({(s.n_layers, s.length, s.train_steps, s.d_model) for s in found}) == 1


@pytest.mark.parametrize("setting", ["length", "n_layers", "d_ff"])
def test_the_models_of_table_3_have_at_least_three_sizes(setting: str) -> None:
    """Beside the printed exponents stand measured ones, which need three sizes."""
    suite = {"length": "sequence_length", "n_layers": "layers", "d_ff": "feed_forward"}[setting]
    values: dict[tuple[Any, ...], set[int]] = {}
    for s in settings_of(suite, "cpu"):
        if s.attention in ("lsh", "sdpa") and s.precision == "float32":
            values.setdefault((s.attention, *means(s)), set()).add(getattr(s, setting))
    assert len(values) == 5
    assert all(len(found) >= 3 for found in values.values()), values


@pytest.mark.parametrize("preset", ["quick", "cpu"])
def test_at_least_half_of_the_tokens_are_on_whole_windows(preset: str) -> None:
    found = [s for suite in SUITES for s in settings_of(suite, preset) if "quality" in s.measures]
    trained = [s for s in found if s.task in TEXT_TASKS]
    assert len({s.length for s in trained}) > 1
    for s in trained:
        short = s.first_steps * s.first_length * s.first_batch
        whole = (s.train_steps - s.first_steps) * s.length * s.batch
        assert 0 < short <= whole, s
        if preset == "cpu":
            assert s.train_steps // s.evaluate_every >= 12, s


def test_every_length_is_trained_on_as_many_tokens() -> None:
    assert at_length(CPU, CPU.length) == CPU
    tokens = {
        (s.first_steps, (s.train_steps - s.first_steps) * s.length)
        for s in (at_length(CPU, length) for length in (256, 512, 1024, 2048))
    }
    assert len(tokens) == 1


def test_each_family_has_its_own_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {name: (i + 1) / 64 for i, name in enumerate(presets.RATES)}
    monkeypatch.setattr(presets, "RATES", rates)
    families = {
        "local": local(CPU),
        "dense": dense(CPU),
        "dense, separate Q and K": separate(CPU),
    }
    found = {name: s.learning_rate for name, s in families.items()}
    assert found == {name: rate for name, rate in rates.items() if name != "lsh"}
    assert dense_with_means(CPU).learning_rate == rates["dense"]
    # Adafactor has one for all
    assert local(PAPER).learning_rate == dense(PAPER).learning_rate == PAPER.learning_rate
    assert PAPER.optimizer == "adafactor"


def test_the_base_has_the_rate_of_lsh() -> None:
    assert CPU.learning_rate == presets.RATES["lsh"]


def test_the_rates_were_tried() -> None:
    """The sweep over learning rates holds each family at the rate that the presets give it."""
    tried = {s.id for s in settings_of("learning_rate", "cpu")}
    for s in (CPU_HALF, local(CPU_HALF), dense(CPU_HALF), separate(CPU_HALF)):
        assert s.id in tried


def test_no_rate_of_the_committed_sweep_is_better_by_what_counts() -> None:
    """Of each family, on the mean of three seeds, and slower and faster rates were tried."""
    records = read_records(ROOT / "results/reference/cpu/records.jsonl")

    def family(settings: Mapping[str, Any]) -> str:
        without = {*HOW, "learning_rate"}
        return json.dumps({k: v for k, v in settings.items() if k not in without}, sort_keys=True)

    for s in (CPU_HALF, local(CPU_HALF), dense(CPU_HALF), separate(CPU_HALF)):
        mine = next(r for r in records if r["case"] == s.id)
        bits: dict[float, list[float]] = {}
        for r in records:
            if family(r["settings"]) == family(mine["settings"]):
                rate = r["settings"]["learning_rate"]
                bits.setdefault(rate, []).append(r["quality"]["bits_per_dim"])
        assert {len(of_seeds) for of_seeds in bits.values()} == {3}
        assert min(bits) < s.learning_rate < max(bits)
        best = min(map(mean, bits.values()))
        assert mean(bits[s.learning_rate]) < best + 0.015, bits


def test_the_dense_model_with_means_differs_from_ours_in_attention_alone() -> None:
    ours, theirs = CPU.measured(), dense_with_means(CPU).measured()
    differing = {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}
    assert differing <= {"attention", "learning_rate"}
    assert not make_case(dense_with_means(CPU)).skip
