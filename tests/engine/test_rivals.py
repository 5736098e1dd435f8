"""What stands beside a Reformer is fair: every rival, half of the tokens whole, a rate for each."""

from typing import Any

import pytest

from suites import presets
from suites.base import make_case
from suites.engine.sweep.planning import find_suites
from suites.presets import CPU, PAPER, at_length, dense, dense_with_means, local, ordinary, separate
from suites.settings import TEXT_TASKS, Settings, change

OF_MODELS = ("sequence_length", "hash_rounds", "bucket_size", "layers", "million", "means")
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
    ours = next(s for s in found if s.attention == "lsh" and s.reversible)
    assert means(ours) != means(ordinary(ours))
    assert any(s.attention == "local" and means(s) == means(ours) for s in found)
    shared = [means(s) for s in found if s.attention == "sdpa" and s.shared_qk]
    assert {means(ours), (False, 1, 1)} <= {*shared}


@pytest.mark.parametrize("preset", ["quick", "cpu", "paper"])
@pytest.mark.parametrize("suite", OF_CALLS)
def test_local_attention_is_called_at_every_length_of_ours(suite: str, preset: str) -> None:
    found = settings_of(suite, preset)
    lengths = {s.length for s in found if s.attention == "lsh"}
    assert {s.length for s in found if s.attention == "local"} == lengths


@pytest.mark.parametrize("suite", ["means", "layers"])
def test_lsh_with_ordinary_layers_shows_what_they_save(suite: str) -> None:
    found = {means(s) for s in settings_of(suite, "cpu") if s.attention == "lsh"}
    assert (False, 1, 1) in found
    assert len(found) == 2


@pytest.mark.parametrize("preset", ["quick", "cpu"])
def test_at_least_half_of_the_tokens_are_on_whole_windows(preset: str) -> None:
    trained = [
        s
        for suite in SUITES
        for s in settings_of(suite, preset)
        if "quality" in s.measures and s.task in TEXT_TASKS  # of the others no part is a task
    ]
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
    for s in (CPU, local(CPU), dense(CPU), dense_with_means(CPU), separate(CPU)):
        assert s.id in tried
    assert change(CPU, n_rounds=1).id in tried


def test_the_dense_model_with_means_differs_from_ours_in_attention_alone() -> None:
    ours, theirs = CPU.measured(), dense_with_means(CPU).measured()
    differing = {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}
    assert differing <= {"attention", "learning_rate"}
    assert not make_case(dense_with_means(CPU)).skip
