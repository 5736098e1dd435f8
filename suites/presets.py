"""Each preset has a base here, from which the suites vary one or more settings.

`quick` walks every code path in minutes; its models are hardly trained. `cpu` is what a laptop can
say: 1,024 tokens, 2 layers, trained until they beat the count models. `paper` has the paper's sizes
(enwik8 in windows of 64K tokens) and needs GPUs. `dense` and `costs_only` make the two changes that
several suites share.
"""

from typing import Any

from suites.settings import Settings, change

QUICK = Settings(
    length=512,
    d_model=64,
    d_ff=256,
    n_heads=2,
    ff_chunks=4,
    loss_chunks=4,
    shared_qk=True,
    time_budget_s=0.4,
    within=0.5,
    max_processes=3,
    train_steps=30,
    warmup_steps=10,
    first_steps=24,
    heldout_tokens=8192,
)

CPU = Settings(
    length=1024,
    d_model=128,
    d_ff=512,
    n_heads=4,
    ff_chunks=4,
    loss_chunks=4,
    shared_qk=True,
    time_budget_s=2.0,
    train_steps=2400,
    warmup_steps=100,
    first_steps=2100,
    learning_rate=3e-3,
    heldout_tokens=65536,
    evaluate_every=1200,
)

PAPER = Settings(
    task="enwik8",
    length=65536,
    d_model=1024,
    d_ff=4096,
    n_heads=8,
    n_layers=3,
    bucket_size=64,
    ff_chunks=16,
    loss_chunks=16,
    shared_qk=True,
    dropout=0.1,
    axial_positions=(128, 512),
    time_budget_s=30.0,
    within=0.05,
    train_steps=60000,
    optimizer="adafactor",
    learning_rate=1e-2,
    warmup_steps=8000,
    heldout_tokens=1048576,
    evaluate_every=5000,
)

# One attention call; its chunk is one bucket, as in published Reformers.
ATTENTION = Settings(
    subject="attention",
    measures=("time", "memory"),
    d_model=256,
    n_heads=4,
    bucket_size=64,
    chunk_length=64,
)

# What `quick` and `paper` change in how an attention call or a step of `million` is timed.
HASTY: dict[str, Any] = {"time_budget_s": 0.2, "within": 0.5, "max_processes": 3}
THOROUGH: dict[str, Any] = {"within": 0.05}


def dense(base: Settings, attention: str = "sdpa") -> Settings:
    """Return the settings of the dense Transformer that stands beside the Reformer of `base`.

    It has ordinary residuals, and its feed-forward and loss are computed in one piece.
    """
    return change(base, attention=attention, reversible=False, ff_chunks=1, loss_chunks=1)


def costs_only(base: Settings) -> Settings:
    """Return the settings that measure time and memory without training.

    They are for what computes the same function as a case that is trained.
    """
    return change(base, measures=("time", "memory"))
