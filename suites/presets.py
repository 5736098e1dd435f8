"""Each preset has a base here, from which the suites vary one or more settings.

`quick` walks every code path in minutes; its models are hardly trained. `cpu` is what a laptop can
say in some hours: 1,024 tokens, 2 layers, trained until they beat the count models; what compares
many of them, on half of the tokens. `gpu` is what one GPU says in half an hour. `paper` has the
paper's sizes (enwik8 in windows of 64K tokens) and needs GPUs. At `cpu` a timing has at most 6
processes: levels that deviate by 9 % are then known to 10 %. The functions make the changes that
suites share: the rivals of a Reformer, and what is measured of them.
"""

from typing import Any

from suites.settings import Settings, change

# The peak learning rate of each family with AdamW, at 1,024 tokens of the preset cpu: no other of
# the suite learning_rate gives 0.015 bits per dim less in half of the steps. The steps of Adafactor
# are relative to the size of the weights: `paper` has one rate for all.
RATES = {"lsh": 6e-3, "local": 6e-3, "dense": 6e-3, "dense, separate Q and K": 3e-3}

# How the other presets than `cpu` time an attention call or a step of `million`. BRIEF: GPUs are
# lent by the minute, and a process takes seconds to start there.
HASTY: dict[str, Any] = {"time_budget_s": 0.1, "within": 0.5, "max_processes": 3}
BRIEF: dict[str, Any] = {"within": 0.1, "max_processes": 3}
THOROUGH: dict[str, Any] = {"within": 0.05, "max_processes": 10}

QUICK = Settings(
    length=512,
    d_model=64,
    d_ff=256,
    n_heads=2,
    ff_chunks=4,
    loss_chunks=4,
    shared_qk=True,
    time_budget_s=0.2,
    within=0.5,
    max_processes=3,
    train_steps=28,
    warmup_steps=10,
    first_steps=14,
    learning_rate=RATES["lsh"],
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
    max_processes=6,
    train_steps=3600,
    warmup_steps=100,
    first_steps=2400,
    learning_rate=RATES["lsh"],
    heldout_tokens=65536,
    evaluate_every=300,
)

# What compares many models of one size trains them on half of the tokens.
CPU_HALF = change(CPU, train_steps=1800, first_steps=1200, evaluate_every=150)

# What one GPU trains in a minute or two: longer sequences and a wider model than a laptop's, in one
# piece, since pieces keep the host busy.
GPU = change(
    CPU,
    length=4096,
    batch=4,
    d_model=256,
    d_ff=1024,
    n_layers=4,
    ff_chunks=1,
    loss_chunks=1,
    bucket_size=64,
    chunk_length=64,
    train_steps=2400,
    first_steps=1200,
    evaluate_every=200,
    heldout_tokens=262144,
    precision="bfloat16",
    **BRIEF,
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

# The same on pictures, the length of which tells their side; short windows are two rows of them,
# which hold the pixel above. Small chunks: with 24 of them LSH has something to choose, and local
# attention does not always see the pixel above. What positions and bytes start from is small: large
# embeddings of 256 values, each seen rarely, are slow to become those of neighbouring brightness.
PICTURES: dict[str, Any] = {"task": "photos64", "length": 768, "axial_positions": (16, 48)}
QUICK_PICTURES = change(
    QUICK,
    **PICTURES,
    measures=("quality",),
    first_length=96,
    first_steps=7,
    train_steps=14,
    warmup_steps=5,
    heldout_tokens=4 * 768,
)

CPU_PICTURES = change(
    CPU,
    **PICTURES,
    d_model=64,
    d_ff=256,
    n_heads=2,
    bucket_size=16,
    embedding_std=0.1,
    batch=2,
    first_length=96,
    train_steps=4800,
    first_steps=3200,
    evaluate_every=400,
    heldout_tokens=64 * 768,
)

PAPER_PICTURES = change(
    PAPER,
    task="imagenet64",
    length=12288,
    axial_positions=(64, 192),
    dropout=0.0,
    heldout_tokens=100 * 12288,
)

# The paper's Table 2 at its size. Positions start from normal numbers, as small as the tokens: from
# sinusoids nothing is learnt. 128 held-out sequences tell 99 % to +-0.1 %.
DUPLICATION = Settings(
    task="duplication",
    measures=("quality",),
    batch=4,
    d_ff=256,
    n_layers=1,
    shared_qk=True,
    reversible=False,
    embedding_std=0.02,
    positions_start="normal",
    learning_rate=1e-3,
    warmup_steps=50,
    heldout_tokens=131072,
    evaluate_rounds=(8, 4, 2, 1, 0),
    evaluate_as=("with itself", "standard", "across buckets"),
)
QUICK_DUPLICATION = change(
    DUPLICATION,
    length=QUICK.length,
    d_model=64,
    d_ff=64,
    n_heads=2,
    train_steps=14,
    warmup_steps=5,
    heldout_tokens=8192,
)

# By hash rounds trained with, 0 meaning full attention: fewer rounds take more steps, and so do
# smaller buckets, and the standard full attention.
DUPLICATION_STEPS = {0: 800, 4: 1000, 2: 1800, 1: 2400}
BUCKETS_OF_8_STEPS = {4: 1500, 2: 1800, 1: 4800}
STANDARD_STEPS = 1000
PAPER_STEPS = 150_000
PAPER_DUPLICATION_STEPS = dict.fromkeys(DUPLICATION_STEPS, PAPER_STEPS)

# A deeper model of which time and memory are asked, at lengths at which Adafactor saves memory.
DEEP = Settings(
    measures=("time", "memory"),
    d_model=256,
    d_ff=1024,
    n_heads=4,
    n_layers=6,
    bucket_size=64,
    chunk_length=64,
    shared_qk=True,
    optimizer="adafactor",
    learning_rate=1e-2,
    max_processes=6,
)

# One attention call; its chunk is one bucket, as in published Reformers.
ATTENTION = Settings(
    subject="attention",
    measures=("time", "memory"),
    d_model=256,
    n_heads=4,
    bucket_size=64,
    chunk_length=64,
    max_processes=6,
)


def at_rate(settings: Settings, family: str) -> Settings:
    """Return the settings at the learning rate of a family, where the optimizer is AdamW."""
    rate = RATES[family] if settings.optimizer == "adamw" else settings.learning_rate
    return change(settings, learning_rate=rate)


def ordinary(base: Settings) -> Settings:
    """Return `base` with ordinary residuals, and feed-forward and loss in one piece."""
    return change(base, reversible=False, ff_chunks=1, loss_chunks=1)


def in_one_piece(base: Settings) -> Settings:
    """Return `base` with feed-forward and loss in one piece: the same function, by more memory."""
    return change(base, ff_chunks=1, loss_chunks=1)


def models_of_table_3(base: Settings) -> list[Settings]:
    """Return the five models of the paper's Table 3, as settings that measure costs only.

    They are the Transformer, reversible, chunked reversible, the LSH Transformer and the Reformer.
    """
    fair = dense_with_means(base)
    models = (dense(base), in_one_piece(fair), fair, ordinary(base), base)
    return [costs_only(one) for one in models]


def dense(base: Settings) -> Settings:
    """Return the settings of the dense Transformer, as published, beside the Reformer of `base`.

    It has ordinary residuals, and its feed-forward and loss are computed in one piece.
    """
    return ordinary(at_rate(change(base, attention="sdpa"), "dense"))


def dense_with_means(base: Settings) -> Settings:
    """Return the settings of the dense Transformer with all of the Reformer but its attention.

    It is reversible and chunked as `base` is: what differs in memory is the attention alone.
    """
    return at_rate(change(base, attention="sdpa"), "dense")


def separate(base: Settings) -> Settings:
    """Return the settings of the dense Transformer with projections of their own for Q and K."""
    return at_rate(change(dense(base), shared_qk=False), "dense, separate Q and K")


def standard(base: Settings) -> Settings:
    """Return `base` with full attention as usual: raw keys, and a position's own among them."""
    return change(base, attention="sdpa", unit_keys=False, attend_self=True)


def local(base: Settings) -> Settings:
    """Return the settings of the Reformer of `base` with local attention in the place of LSH."""
    return at_rate(change(base, attention="local"), "local")


def at_length(base: Settings, length: int) -> Settings:
    """Return `base` at another length, trained on as many tokens, whole windows and short ones.

    Its learning curve has as many points.
    """
    whole = (base.train_steps - base.first_steps) * base.length // length
    steps = base.first_steps + whole
    every = base.evaluate_every * steps // base.train_steps
    return change(base, length=length, train_steps=steps, evaluate_every=every)


def costs_only(base: Settings) -> Settings:
    """Return the settings that measure time and memory without training.

    They are for what computes the same function as a case that is trained.
    """
    return change(base, measures=("time", "memory"))
