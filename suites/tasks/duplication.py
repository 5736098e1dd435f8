"""The task `duplication` is the paper's: copy a sequence, 0w0w (section 5, table 2)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reformer.checks import require
from suites.tasks.base import IGNORED, Batches
from suites.tasks.synthetic import describe, draw_heldout, stream

N_SYMBOLS = 127  # w is made of 1 ... 127
VERSION = 1  # of the generator: raised when the same seed gives other sequences


@dataclass(frozen=True, slots=True)
class DuplicationTask:
    """Sequences are 0 w 0 w with a uniformly random w; only the symbols of the second w count."""

    name: str = "duplication"
    vocabulary: int = N_SYMBOLS + 1

    def describe(self) -> dict[str, Any]:
        """Describe the data for a record (Task.describe)."""
        return describe(self.name, VERSION)

    def train_batches(self, length: int, batch: int, seed: int) -> Batches:
        """Yield fresh sequences without end.

        Raises ValueError unless `length` is even and at least 4.
        """
        require_even(length)
        return draw_sequences(length, batch, stream("train", seed))

    def heldout_batches(self, length: int, batch: int, tokens: int) -> Batches:
        """Yield tokens / length sequences, at least one, that no training seed draws.

        Raises ValueError unless `length` is even and at least 4.
        """
        require_even(length)
        return draw_heldout(partial(draw_sequences, length), length, batch, tokens)

    def heldout_reference(self, length: int, tokens: int) -> dict[str, float]:
        """Return the bits per counted symbol of a uniform guess, by name."""
        return {"chance": math.log2(N_SYMBOLS)}


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
