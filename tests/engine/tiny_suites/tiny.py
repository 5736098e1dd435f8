"""This real suite of tiny cases is for the tests of the engine."""

from suites.base import Suite, grid, one_at_a_time
from suites.settings import Settings, change

BASE = Settings(
    length=128,
    d_model=32,
    d_ff=64,
    n_heads=2,
    n_layers=1,
    time_budget_s=0.05,
    processes=2,
    max_processes=2,
    train_steps=2,
    warmup_steps=1,
    heldout_tokens=256,
)

SUITE = Suite(
    question="Does the engine work?",
    varies="length",
    presets={
        "quick": [
            *grid(BASE, attention=["lsh", "sdpa"], length=[64, 128]),
            # the chunk does not divide this length: a skipped case
            *grid(change(BASE, subject="attention", measures=("time",)), length=[96]),
        ],
        "cpu": one_at_a_time(BASE, n_rounds=[1, 2]),
    },
)
