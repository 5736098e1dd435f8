"""The task `recall` is multi-query associative recall (Arora et al., 2023, "Zoology", section 4).

A sequence begins with pairs of a key and a value, "k1 v1 k2 v2 ..."; later each key comes once
more, and the model must name its value there. Only content says where that was. As in the authors'
code, queries have places two positions apart after the pairs, more likely near ones: the chance of
place i falls as i ** (POWER - 1).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from suites.pairs import N_KEYS, VOCABULARY, require_pairs_fit
from suites.tasks.base import IGNORED, Batches
from suites.tasks.synthetic import describe, draw_heldout, stream

POWER = 0.01
N_VALUES = VOCABULARY // 2
VERSION = 1  # of the generator: raised when the same seed gives other sequences


@dataclass(frozen=True, slots=True)
class RecallTask:
    """Sequences have `n_pairs` pairs, then their keys again; only the values of those count."""

    n_pairs: int
    name: str = "recall"
    vocabulary: int = VOCABULARY

    def describe(self) -> dict[str, Any]:
        """Describe the data for a record (Task.describe)."""
        return describe(self.name, VERSION)

    def train_batches(self, length: int, batch: int, seed: int) -> Batches:
        """Yield fresh sequences without end.

        Raises ValueError unless `length` holds the pairs and their queries.
        """
        require_pairs_fit(self.n_pairs, length)
        return draw_sequences(length, self.n_pairs, batch, stream("train", seed))

    def heldout_batches(self, length: int, batch: int, tokens: int) -> Batches:
        """Yield tokens / length sequences, at least one, that no training seed draws.

        Raises ValueError unless `length` holds the pairs and their queries.
        """
        require_pairs_fit(self.n_pairs, length)
        draw = partial(draw_sequences, length, self.n_pairs)
        return draw_heldout(draw, length, batch, tokens)

    def heldout_reference(self, length: int, tokens: int) -> dict[str, float]:
        """Return the bits per counted symbol of a uniform guess among all values, by name."""
        return {"chance": math.log2(N_VALUES)}


def draw_sequences(
    length: int, n_pairs: int, batch: int, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of pairs and queries without end, a target at each query, zeros elsewhere."""
    after = 2 * n_pairs
    n_places = (length - after) // 2
    log_chances = (POWER - 1) * np.log(np.arange(1, n_places + 1))
    while True:
        rows = range(batch)
        keys = 1 + np.stack([generator.choice(N_KEYS, n_pairs, replace=False) for _ in rows])
        values = np.stack([generator.choice(N_VALUES, n_pairs, replace=False) for _ in rows])
        values += VOCABULARY - N_VALUES
        # The largest of logarithms of chances with Gumbel noise are places drawn one after the
        # other, none twice.
        noisy = log_chances + generator.gumbel(size=(batch, n_places))
        places = after + 2 * noisy.argsort(axis=1)[:, ::-1][:, :n_pairs]
        tokens = np.zeros((batch, length), dtype=np.int64)
        tokens[:, 0:after:2], tokens[:, 1:after:2] = keys, values
        targets = np.full_like(tokens, IGNORED)
        np.put_along_axis(tokens, places, keys, axis=1)
        np.put_along_axis(targets, places, values, axis=1)
        yield torch.from_numpy(tokens), torch.from_numpy(targets)
