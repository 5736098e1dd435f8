"""The table says what each setting must change in what the engine builds and runs, and what not.

A row says which setting changes to which value, and which of the things that seeing.py sees then
change, and how. It is tested on every base on which the setting counts (Settings.measured).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from changes import (
    Check,
    all_become,
    becomes,
    differs,
    each_its_own,
    grows,
    grows_by,
    has_passes,
    shrinks,
)

from baselines.config import PEERS, package_of
from suites.settings import Settings

CALL = {"subject": "attention", "measures": ("time", "memory")}
LSH = Settings(
    task="duplication",
    length=64,
    d_model=16,
    d_ff=32,
    n_heads=2,
    n_layers=2,
    n_rounds=2,
    bucket_size=8,
    kernel="plain",
    time_budget_s=0.25,
    processes=2,
    max_processes=2,
    train_steps=4,
    first_length=32,
    first_batch=2,
    learning_rate=0.005,
    warmup_steps=2,
    heldout_tokens=128,
)
PEER = replace(LSH, attention="transformers", measures=("time", "memory"))
BASES = {
    "lsh model": LSH,
    "lsh call": replace(LSH, **CALL),
    "local model": replace(LSH, attention="local", chunk_length=16),
    "local call": replace(LSH, attention="local", chunk_length=16, **CALL),
    "mixed model": replace(LSH, attention="local+lsh"),
    "dense model": replace(LSH, attention="sdpa"),
    "shared-QK model": replace(LSH, attention="sdpa", shared_qk=True),
    "dense call": replace(LSH, attention="sdpa", **CALL),
    "transformers model": PEER,
    "transformers call": replace(PEER, **CALL),
    "reformer-pytorch model": replace(PEER, attention="reformer-pytorch"),
    "reformer-pytorch call": replace(PEER, attention="reformer-pytorch", **CALL),
}
LSH_BASES = ("lsh model", "lsh call")
LOCAL = ("local model", "local call")
OURS = (*LSH_BASES, *LOCAL, "mixed model", "dense model", "shared-QK model", "dense call")
OF_PEERS = tuple(name for name in BASES if name not in OURS)
DENSE = ("dense model", "shared-QK model", "dense call")
TRAINED = ("lsh model", "local model", "mixed model", "dense model", "shared-QK model")
CALLS = tuple(name for name in BASES if name.endswith("call"))
PEER_MODELS = tuple(name for name in OF_PEERS if name not in CALLS)
# Where bucket_size is more than the default of chunk_length: the other peer's chunk is its bucket.
WITH_BUCKETS = tuple(name for name in BASES if not name.startswith(("reformer-pytorch", "local")))

COMPUTES = {"gradients": differs, "bits": differs}

# What counts, by Settings.measured, and yet has no row on a base, and why.
WITHOUT_ROW = {
    "dropout": dict.fromkeys(PEER_MODELS, "refused: a peer is measured without"),
    "reversible": {"transformers model": "refused: it is always reversible"},
    "chunks_before": dict.fromkeys(
        ("reformer-pytorch model", "reformer-pytorch call"), "refused: it looks one chunk back"
    ),
    "subject": {"mixed model": "refused: one call has no layers"},
    "cuda_graph": dict.fromkeys(CALLS, "refused: it takes a GPU (test_device.py)"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row gives a setting another value, and says what must change, how, and what must not.

    on: changes of the base, before and after. bases: where it is tested, if it counts there.
    """

    name: str
    value: Any
    changes: dict[str, Check]
    keeps: tuple[str, ...] = ()
    on: dict[str, Any] = field(default_factory=dict)
    bases: tuple[str, ...] = tuple(BASES)


BFLOAT16, FLOAT32 = torch.bfloat16, torch.float32
PIECES = {"linear calls": grows}
LONG = {"length": 256, "n_layers": 4}
WIDE = {"length": 256, "d_ff": 1024}
MANY_LOGITS = {"length": 256, "task": "enwiki-head", "n_heads": 1, "n_rounds": 1}
MANY_BUCKETS = {"length": 1024, "n_rounds": 1}
UNTRAINED = {"measures": ("time", "memory")}
SHORT_FIRST = {"first_steps": 2}
TOKENS = ("windows", "held-out windows", "inputs")


def runs(name: str) -> dict[str, Check]:
    """This attention computes in every kind of job, and the record names it."""
    return {"ran": all_become(name), "kernel": becomes(name), "gradients": differs}


def attentions() -> Iterator[Row]:
    keeps = ("jobs", "parts", *TOKENS[:2])
    for name in ("naive", "memory_efficient", "sdpa", "own_attention:average"):
        yield Row("attention", name, runs(name), keeps, bases=(*LSH_BASES, *LOCAL))
    for name in ("lsh", "local"):
        yield Row("attention", name, runs("plain"), keeps, bases=DENSE)
    # the same kernel on other windows
    yield Row("attention", "local", {"gradients": differs, "bits": differs}, keeps, {}, LSH_BASES)
    yield Row("attention", "lsh", {"gradients": differs, "bits": differs}, keeps, {}, LOCAL)
    for name in ("lsh", "local", "lsh+local", "local+sdpa"):
        yield Row("attention", name, COMPUTES, keeps, {}, ("mixed model",))
    # three ways to compute the same
    yield Row("attention", "naive", {"peak": grows}, ("gradients",), {"length": 256}, DENSE)
    for name in ("naive", "memory_efficient"):
        yield Row("attention", name, {"ran": all_become(name)}, ("gradients",), {}, DENSE)
    sliced = {"peak": shrinks, "ran": all_become("memory_efficient")}
    naive = {"length": 256, "attention": "naive"}
    yield Row("attention", "memory_efficient", sliced, ("gradients",), naive, DENSE)
    for name in PEERS:
        peer = runs(name) | {"ran": all_become(package_of(name))}
        yield Row("attention", name, peer, ("jobs",), UNTRAINED, LSH_BASES)
        yield Row("attention", name, {"gradients": differs}, ("jobs",), {}, OF_PEERS)


ROWS = [
    *attentions(),
    Row("task", "enwiki-head", {"inputs": differs, "weights": grows, "data": differs}, ("rates",)),
    Row(
        "n_pairs", 4, {"inputs": differs, **COMPUTES}, ("weights", *TOKENS[:2]), {"task": "recall"}
    ),
    Row("task", "own_attention:counting", {"inputs": differs, "data": becomes("counting")}),
    Row(
        "length",
        128,
        {
            "inputs": differs,
            "peak": grows,
            "windows": becomes([(1, 128)] * 4),
            "held-out windows": becomes([(1, 128)]),
        },
        ("rates", "jobs"),
    ),
    Row(
        "batch",
        2,
        {
            "inputs": differs,
            "peak": grows,
            "windows": becomes([(2, 64)] * 4),
            "held-out windows": becomes([(2, 64)]),
        },
        ("rates", "jobs"),
    ),
    Row("d_model", 32, {"weights": grows, **COMPUTES}, TOKENS[:2]),
    Row("d_ff", 64, {"weights": grows, **COMPUTES}, TOKENS),
    Row("n_heads", 4, COMPUTES, ("weights", *TOKENS[:2])),
    Row("n_layers", 3, {"weights": grows, **COMPUTES}, TOKENS),
    Row("n_rounds", 3, COMPUTES, ("weights", *TOKENS)),
    Row("bucket_size", 4, COMPUTES, ("weights", *TOKENS)),
    Row("bucket_size", 4, COMPUTES, ("weights",), {"chunk_length": 16}, WITH_BUCKETS),
    Row("chunk_length", 8, COMPUTES, ("weights", *TOKENS)),
    Row("chunks_before", 0, COMPUTES, ("weights", *TOKENS)),
    Row("within_bucket", False, COMPUTES, ("weights", *TOKENS)),
    Row("correct_duplicates", False, COMPUTES, ("weights", *TOKENS)),
    Row("logit_scale", 0.5, COMPUTES, ("weights", *TOKENS)),
    Row("factorize_hash", False, COMPUTES, ("weights", *TOKENS), MANY_BUCKETS),
    Row("rotation", "normal", COMPUTES, ("weights", *TOKENS)),
    Row(
        "kernel",
        "blocked",
        {"ran": all_become("blocked"), "kernel": becomes("blocked")},
        ("gradients", *TOKENS),
    ),
    Row("shared_qk", True, {"weights": shrinks, **COMPUTES}, TOKENS),
    Row("shared_qk", False, {"weights": grows, **COMPUTES}, TOKENS),
    Row("unit_keys", False, COMPUTES, ("weights", *TOKENS)),
    Row("attend_self", True, COMPUTES, ("weights", *TOKENS)),
    Row("reversible", False, {"peak": grows, **COMPUTES}, ("weights", *TOKENS), LONG, TRAINED),
    Row("reversible", False, {"peak": grows}, ("gradients", "weights"), LONG, OF_PEERS),
    Row("ff_chunks", 4, {"peak": shrinks, **PIECES}, ("gradients",), WIDE, TRAINED),
    Row("ff_chunks", 4, PIECES, ("gradients",), bases=OF_PEERS),
    Row("loss_chunks", 4, {"peak": shrinks, **PIECES}, ("gradients",), MANY_LOGITS, TRAINED),
    Row("loss_chunks", 4, PIECES, ("gradients",), bases=OF_PEERS),
    Row("dropout", 0.3, COMPUTES, ("weights", *TOKENS)),
    Row("embedding_std", 0.5, COMPUTES, ("weights", *TOKENS)),
    Row("positions_start", "normal", COMPUTES, ("weights", *TOKENS)),
    Row("tie_embeddings", True, {"weights": shrinks, **COMPUTES}, TOKENS),
    Row("axial_positions", (8, 8), {"weights": shrinks, **COMPUTES}, TOKENS),
    Row(
        "precision", "bfloat16", {"dtypes": all_become(BFLOAT16)}, ("weights", *TOKENS), {}, TRAINED
    ),
    # the peers compute again in float32 what their backward passes need
    Row("precision", "bfloat16", {"dtypes": all_become(BFLOAT16, FLOAT32)}, (), {}, PEER_MODELS),
    Row(
        "precision",
        "bfloat16",
        {"type of gradients": becomes(BFLOAT16), "inputs": differs, "gradients": differs},
        bases=CALLS,
    ),
    Row("subject", "attention", {"parts": becomes(["forward", "backward", "step"])}, on=UNTRAINED),
    Row("subject", "model", {"optimizer state": grows, "parts": differs}),
    Row("cuda_graph", True, {}, bases=()),
    Row("measures", ("time",), {"jobs": becomes([("time", 0, 0), ("time", 1, 0)])}),
    Row("measures", ("memory",), {"jobs": becomes([("memory", 0, 0)])}, ("peak",)),
    Row(
        "measures",
        ("quality",),
        {"jobs": becomes([("quality", 0, 0), ("quality", 0, 1)])},
        ("bits",),
        bases=TRAINED,
    ),
    Row("time_budget_s", 0.4, {"samples": grows}, ("jobs", "peak", "bits")),
    Row("processes", 3, {"jobs": has_passes(3)}, ("samples", "peak", "bits")),
    Row("max_processes", 4, {"jobs": has_passes(4)}, ("samples", "peak", "bits")),
    Row("within", 0.01, {"grown until": becomes("limit")}, ("jobs", "peak", "bits")),
    Row("train_steps", 6, {"windows": becomes([(1, 64)] * 6), "curve": becomes([6])}, ("jobs",)),
    Row("first_steps", 1, {"windows": becomes([(2, 32)] + [(1, 64)] * 3)}, ("rates", "curve")),
    Row(
        "first_length",
        16,
        {"windows": becomes([(2, 16)] * 2 + [(1, 64)] * 2)},
        ("rates", "held-out windows"),
        SHORT_FIRST,
    ),
    Row(
        "first_batch",
        3,
        {"windows": becomes([(3, 32)] * 2 + [(1, 64)] * 2)},
        ("rates", "held-out windows"),
        SHORT_FIRST,
    ),
    Row(
        "optimizer",
        "adafactor",
        {"optimizers": all_become("Adafactor"), "optimizer state": shrinks, "bits": differs},
        ("gradients", "weights", "rates", "rates of measured steps", *TOKENS),
    ),
    Row(
        "learning_rate",
        0.02,
        {
            "rates": becomes(torch.tensor([0.01, 0.02, 0.02, 0.01]).double()),
            "rates of measured steps": becomes({0.02}),
            "bits": differs,
        },
        ("gradients", *TOKENS),
    ),
    Row(
        "warmup_steps",
        1,
        {"rates": becomes(torch.tensor([3, 3, 2, 1]).double() / 600), "bits": differs},
        ("gradients", *TOKENS),
    ),
    Row(
        "heldout_tokens",
        256,
        {
            "held-out windows": becomes([(1, 64)] * 4),
            "counted tokens": grows,
            "bits": differs,
        },
        ("rates",),
    ),
    Row("evaluate_every", 1, {"curve": becomes([1, 2, 3, 4])}, ("bits", "rates", "windows")),
    Row(
        "evaluate_rounds",
        (1, 0),
        {"other rounds": each_its_own},
        ("bits", "rates", "windows"),
        bases=("lsh model",),
    ),
    Row("evaluate_rounds", (1, 0), {"other rounds": differs}, ("bits",), {}, ("shared-QK model",)),
    Row("evaluate_as", ("standard",), {"other rounds": grows_by("full standard")}, ("bits",)),
    Row("analyses", ("past only",), {"analyses": grows_by("past only")}, ("bits", "rates")),
]
