"""A curve is a function of the settings and the seed: data order, weights, hashing and dropout."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from suites.engine.measure.build import build_model
from suites.engine.measure.training import evaluate, train, train_and_evaluate
from suites.settings import Settings
from suites.tasks import load_task

SETTINGS = Settings(
    task="duplication",
    length=16,
    batch=3,
    d_model=16,
    d_ff=32,
    n_heads=2,
    n_layers=1,
    n_rounds=2,
    bucket_size=4,
    dropout=0.2,
    train_steps=11,
    first_steps=4,
    first_length=8,
    first_batch=2,
    warmup_steps=3,
    heldout_tokens=50,
    evaluate_every=4,
    evaluate_rounds=(1,),
)


@pytest.mark.parametrize("attention", ["lsh", "sdpa"])
def test_no_number_hangs_on_the_generators_of_the_process(attention: str) -> None:
    """Data order, weights, hashes and dropout come from explicit generators, of the seed alone."""
    settings, found = replace(SETTINGS, attention=attention), []
    for n, seed in enumerate((0, 0, 1)):
        torch.manual_seed(n)
        np.random.seed(n)
        random.seed(n)
        found.append(train_and_evaluate(settings, seed, "cpu"))
    for one in found:
        assert len(one.pop("curve_s")) == len(one["curve"])  # durations are never the same twice
    assert found[0] == found[1]
    assert found[0]["heldout_tokens"] == found[2]["heldout_tokens"]
    for name in ("curve", "train_curve"):
        assert found[0][name] != found[2][name]


@pytest.mark.parametrize("attention", ["lsh", "sdpa"])
def test_the_seed_decides_weights_hashes_and_data(attention: str) -> None:
    settings = replace(SETTINGS, attention=attention)
    models = [build_model(settings, 128, seed, "cpu") for seed in (0, 0, 1)]
    assert [model.config.seed for model in models] == [0, 0, 1]
    one, again, other = (model.head[1].weight for model in models)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    states = [model.generator.get_state() for model in models]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_dropout_is_of_training_alone() -> None:
    """The same weights without dropout evaluate to the same, and have another training loss."""
    with_, without = (build_model(replace(SETTINGS, dropout=p), 128, 0, "cpu") for p in (0.2, 0.0))
    one = replace(SETTINGS, train_steps=1, first_steps=0, warmup_steps=1, evaluate_every=0)
    task = load_task("duplication")
    losses: tuple[list[float], list[float]] = [], []
    for model, found in zip((with_, without), losses, strict=True):
        assert list(train(model, task, one, 0, found)) == [1]
    assert losses[0] != losses[1]
    without.load_state_dict(with_.state_dict())
    assert evaluate(with_, task, SETTINGS) == evaluate(without, task, SETTINGS)
