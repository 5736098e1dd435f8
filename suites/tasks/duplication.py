"""The task `duplication` is the paper's: copy a sequence, 0w0w (section 5, table 2)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reformer.checks import require
from suites.tasks.base import IGNORED, Batches

N_SYMBOLS = 127  # w is made of 1 ... 127
VERSION = 1  # of the generator: raised when the same seed gives other sequences


@dataclass(frozen=True, slots=True)
class DuplicationTask:
    """Sequences are 0 w 0 w with a uniformly random w; only the symbols of the second w count."""

    name: str = "duplication"
    vocabulary: int = N_SYMBOLS + 1

    def describe(self) -> dict[str, Any]:
        """Describe the data for a record (Task.describe)."""
        splits = {"train": None, "valid": None, "test": None}
        facts = {"name": self.name, "stand_in": False, "version": VERSION}
        return {**facts, "source": "generated", "bytes": None, "splits": splits}

    def train_batches(self, length: int, batch: int, seed: int) -> Batches:
        """Yield fresh sequences without end.

        Raises ValueError unless `length` is even and at least 4.
        """
        require_even(length)
        return draw_sequences(length, batch, generator("train", seed))

    def heldout_batches(self, length: int, batch: int, tokens: int) -> Batches:
        """Yield tokens / length sequences, at least one, that no training seed draws.

        Raises ValueError unless `length` is even and at least 4.
        """
        require_even(length)
        n_sequences = max(1, tokens // length)
        all_tokens, all_targets = next(draw_sequences(length, n_sequences, generator("test", 0)))
        return zip(all_tokens.split(batch), all_targets.split(batch), strict=True)

    def heldout_reference(self, length: int, tokens: int) -> dict[str, float]:
        """Return the bits per counted symbol of a uniform guess, by name."""
        return {"chance": math.log2(N_SYMBOLS)}


def generator(part: str, seed: int) -> np.random.Generator:
    """Make a stream of random numbers that is independent for each part and seed."""
    return np.random.default_rng([("train", "test").index(part), seed])


def require_even(length: int) -> None:
    """Raise ValueError, naming the nearest legal lengths, unless `length` holds 0 w 0 w."""
    near = max(4, length // 2 * 2)
    require(
        length >= 4 and length % 2 == 0,
        f"length {length} cannot hold 0w0w: it must be even and at least 4; "
        f"nearest legal: {near}, {near + 2}",
    )


def draw_sequences(
    length: int, batch: int, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of 0 w 0 w without end, with the length / 2 - 1 targets in the second w."""
    half = length // 2
    while True:
        words = np.zeros((batch, half), dtype=np.int64)
        words[:, 1:] = generator.integers(1, N_SYMBOLS + 1, size=(batch, half - 1))
        tokens = torch.from_numpy(np.tile(words, 2))
        targets = torch.full_like(tokens, IGNORED)
        targets[:, half:-1] = tokens[:, half + 1 :]
        yield tokens, targets
