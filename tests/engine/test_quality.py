"""A curve is a function of the settings and the seed: data order, weights and hashing."""

from dataclasses import replace

import pytest

from suites.engine.measure.training import train_and_evaluate
from suites.settings import Settings

SETTINGS = Settings(
    length=64,
    d_model=16,
    d_ff=32,
    n_heads=2,
    n_layers=1,
    n_rounds=2,
    bucket_size=8,
    train_steps=8,
    first_steps=4,
    first_length=32,
    first_batch=2,
    evaluate_every=2,
    warmup_steps=1,
    heldout_tokens=256,
)


@pytest.mark.parametrize("attention", ["lsh", "sdpa"])
def test_the_same_seed_gives_the_same_curve_and_another_seed_another(attention: str) -> None:
    settings = replace(SETTINGS, attention=attention)
    one, again, other = (train_and_evaluate(settings, seed, "cpu") for seed in (0, 0, 1))
    assert [step for step, _ in one["curve"]] == [2, 4, 6, 8]
    for name in ("curve", "train_curve", "bits_per_dim", "accuracy"):
        assert one[name] == again[name]
    assert one["curve"] != other["curve"]
    assert one["train_curve"] != other["train_curve"]
    assert one["heldout_tokens"] == other["heldout_tokens"] == 256
