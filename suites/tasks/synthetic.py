"""Synthetic tasks draw sequences from streams of random numbers, other ones for held-out data."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

from suites.tasks.base import Batches

# Yields batches of so many sequences without end, from the stream.
Draw = Callable[[int, np.random.Generator], Iterator[tuple[Tensor, Tensor]]]


def describe(name: str, version: int) -> dict[str, Any]:
    """Describe generated data for a record (Task.describe)."""
    facts = {"name": name, "stand_in": False, "version": version, "source": "generated"}
    return {**facts, "bytes": None, "splits": dict.fromkeys(("train", "valid", "test"))}


def stream(part: str, seed: int) -> np.random.Generator:
    """Make a stream of random numbers that is independent for each part and seed."""
    return np.random.default_rng([("train", "test").index(part), seed])


def draw_heldout(draw: Draw, length: int, batch: int, tokens: int) -> Batches:
    """Yield tokens / length sequences, at least one, in batches; whatever these, the same ones."""
    n_sequences = max(1, tokens // length)
    all_tokens, all_targets = next(draw(n_sequences, stream("test", 0)))
    return zip(all_tokens.split(batch), all_targets.split(batch), strict=True)
