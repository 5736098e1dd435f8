"""Which settings have an effect on what, and so decide what a case is. No torch.

A setting without effect on a case is in neither its id nor its record.
"""

from itertools import cycle, islice
from typing import Any

from baselines.config import PEERS
from reformer.checks import is_own

# The attentions that are ours within chunks. Local attention is LSH attention with one bucket and
# one round: chunks in the order of positions, nothing hashed.
OURS = ("lsh", "local")
# Of what a pattern over the layers is made, such as "local+lsh": layers take turns.
IN_PATTERNS = (*OURS, "sdpa")
# Settings without effect on what they do not name: on the attentions that are no LSH, on published
# Reformers (whose own rules hold), on one attention call, ...
HASHING = ("n_rounds", "bucket_size", "chunk_length")
OURS_ONLY = (
    "chunks_before",
    "within_bucket",
    "correct_duplicates",
    "logit_scale",
    "factorize_hash",
    "rotation",
    "kernel",
)
LSH_ONLY = (*HASHING, *OURS_ONLY)
LOCAL_TOO = ("chunk_length", "chunks_before", "logit_scale", "kernel")
NOT_LOCAL = tuple(name for name in LSH_ONLY if name not in LOCAL_TOO)
# Of OURS_ONLY, what peers take as well: reformer-pytorch refuses to look back in another way.
PEERS_TOO = ("chunks_before",)
TRANSFORMERS_TOO = ("factorize_hash",)
NOT_REFORMER_PYTORCH = ("loss_chunks",)  # it has no such thing
SHARED_QK_ONLY = ("unit_keys", "attend_self")
DENSE_ONLY = ("shared_qk", *SHARED_QK_ONLY)
NO_PEER = (*OURS_ONLY, *DENSE_ONLY, "tie_embeddings")
MODEL_ONLY = (
    "task",
    "n_pairs",
    "d_ff",
    "n_layers",
    *DENSE_ONLY,
    "tie_embeddings",
    "reversible",
    "ff_chunks",
    "loss_chunks",
    "dropout",
    "axial_positions",
    "optimizer",
)
CALL_ONLY = ("cuda_graph",)
SHORT_WINDOWS = ("first_length", "first_batch")
# Of a trained model whose layers all have shared queries and keys, LSH or full.
OTHER_ATTENTIONS = ("evaluate_rounds", "evaluate_as")
# Settings that say how long, how often or in which ways is measured, not what: in no case's id.
HOW = (
    *("measures", "time_budget_s", "processes", "max_processes", "within"),
    *("evaluate_every", *OTHER_ATTENTIONS, "analyses"),
)
QUALITY_ONLY = (
    "embedding_std",
    "positions_start",
    "train_steps",
    "first_steps",
    *SHORT_WINDOWS,
    "learning_rate",
    "warmup_steps",
    "heldout_tokens",
    "evaluate_every",
    *OTHER_ATTENTIONS,
    "analyses",
)


def kinds_of(attention: str) -> tuple[str, ...]:
    """Return the attentions of a pattern, one for each layer in turn; of any other only itself."""
    return (attention,) if is_own(attention) else tuple(attention.split("+"))


def shortest_pattern(kinds: tuple[str, ...], n_layers: int) -> str:
    """Name the shortest pattern that gives the same attention to each of so many layers."""
    layers = tuple(islice(cycle(kinds), n_layers))
    n = next(
        n
        for n in range(1, n_layers + 1)
        if layers == layers[:n] * (n_layers // n) + layers[: n_layers % n]
    )
    return "+".join(layers[:n])


def can_attend_otherwise(s: Any) -> bool:
    """Return whether the weights of `s` (Settings) fit another attention: queries are its keys."""
    return s.attention == "lsh" or (s.is_dense and s.shared_qk)


def hashes_in_evaluation(s: Any) -> bool:
    """Return whether `s` (Settings) is a dense model evaluated with LSH attention too."""
    return s.is_dense and s.can_train and can_attend_otherwise(s) and any(s.evaluate_rounds)


def without_effect(s: Any) -> set[str]:
    """Return the settings of `s` (Settings) that have no effect on it."""
    unused: set[str] = set(LSH_ONLY)
    kinds = kinds_of(s.attention)
    if "lsh" in kinds:
        unused = set(DENSE_ONLY)
    elif "local" in kinds:
        unused = {*NOT_LOCAL, *DENSE_ONLY}
    elif s.attention in PEERS:
        unused = {*NO_PEER} - {*PEERS_TOO}
        if s.attention == "transformers":
            unused -= set(TRANSFORMERS_TOO)
        else:
            unused |= set(NOT_REFORMER_PYTORCH)
    elif not s.shared_qk:
        unused |= set(SHARED_QK_ONLY)
    elif hashes_in_evaluation(s):
        unused = {"n_rounds"}  # it has those of `evaluate_rounds`
    elif s.unit_keys and s.subject == "model":
        unused.remove("logit_scale")
    if s.task != "recall":
        unused.add("n_pairs")
    if s.first_steps == 0:
        unused |= set(SHORT_WINDOWS)
    if not can_attend_otherwise(s):
        unused |= set(OTHER_ATTENTIONS)
    unused |= set(MODEL_ONLY if s.subject == "attention" else CALL_ONLY)
    if not s.can_train:
        unused |= set(QUALITY_ONLY)
    return unused
