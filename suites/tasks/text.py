"""A text is split by position into train, valid and test; its bytes are the tokens.

The test split is held out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from reformer.checks import require
from suites.tasks.base import Batches
from suites.tasks.count_model import count_model_bits

# The longest context, in bytes, of the count models that the held-out text is compared with.
MAX_ORDER = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextTask:
    """A text task holds a text and the sizes of its splits: train, valid, test, in this order."""

    name: str
    data: NDArray[np.uint8]
    splits: dict[str, int]
    sha256: str
    stand_in: bool
    source: str
    vocabulary: int = 256

    def describe(self) -> dict[str, Any]:
        """Describe the data for a record (Task.describe)."""
        names = ("name", "stand_in", "source", "sha256")
        facts = {name: getattr(self, name) for name in names}
        return {**facts, "bytes": len(self.data), "splits": dict(self.splits)}

    def train_batches(self, length: int, batch: int, seed: int) -> Batches:
        """Yield windows at uniformly random places of the training split, without end.

        Raises ValueError if `length` does not fit into it.
        """
        train = self.data[: self.splits["train"]]
        require_length(length, len(train), "training")
        return draw_windows(train, length, batch, np.random.default_rng(seed))

    def heldout_batches(self, length: int, batch: int, tokens: int) -> Batches:
        """Yield the first `tokens` held-out bytes as consecutive windows (Task.heldout_batches)."""
        start = self._heldout_start()
        heldout = self.data[start : start + self.splits["test"]]
        require_length(length, len(heldout), "held-out")
        n_windows = max(1, min(tokens, len(heldout) - 1) // length)
        windows = sliding_window_view(heldout, length + 1)[: n_windows * length : length]
        return (as_batch(windows[i : i + batch]) for i in range(0, n_windows, batch))

    def heldout_reference(self, length: int, tokens: int) -> dict[str, float]:
        """Return the bits per byte of count models of order 0 to 4, by name.

        They are fitted on the training split.
        """
        # the first held-out token is only context, so the first target is the second
        first = self._heldout_start() + 1
        last = first + min(tokens, self.splits["test"] - 1)
        train = self.data[: self.splits["train"]]
        max_order = min(MAX_ORDER, first)
        bits = count_model_bits(train, self.data[first - max_order : last], max_order)
        return {f"order {order}": value for order, value in enumerate(bits)}

    def _heldout_start(self) -> int:
        return self.splits["train"] + self.splits["valid"]


def require_length(length: int, available: int, part: str) -> None:
    """Raise ValueError unless a window of `length` tokens, and the target after the last, fits."""
    require(
        1 <= length < available,
        f"length {length} does not fit the {part} part of {available:,} bytes; "
        f"legal: 1 to {available - 1}",
    )


def draw_windows(
    text: NDArray[np.uint8], length: int, batch: int, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of windows of `length` at uniformly random places, without end."""
    windows = sliding_window_view(text, length + 1)
    while True:
        yield as_batch(windows[generator.integers(len(windows), size=batch)])


def as_batch(windows: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Turn windows of length + 1 bytes into tokens and targets, one step apart."""
    tokens, targets = windows[:, :-1], windows[:, 1:]
    return torch.from_numpy(tokens.astype(np.int64)), torch.from_numpy(targets.astype(np.int64))
