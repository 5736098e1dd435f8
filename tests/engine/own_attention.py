"""A user may write an attention and a task like these, "own_attention:..." in settings."""

from typing import Any

import torch
from torch import Tensor

from suites.tasks.base import Batches


def average(q: Tensor, k: Tensor, v: Tensor, scale: float, exclude_self: bool) -> Tensor:
    """Attend to all positions before alike, more to the nearest, in a way that uses q and k too."""
    weight = (q * k).sum(dim=-1, keepdim=True).mul(scale).sigmoid()
    n = torch.arange(1, v.shape[-2] + 1, device=v.device).unsqueeze(-1)
    return (weight * v).cumsum(dim=-2) / n


class Counting:
    """Every window of this task counts upwards from a random symbol; it has no data."""

    name, vocabulary = "counting", 50

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "version": 1}

    def train_batches(self, length: int, batch: int, seed: int) -> Batches:
        generator = torch.Generator().manual_seed(seed)
        while True:
            start = torch.randint(self.vocabulary, (batch, 1), generator=generator)
            window = (start + torch.arange(length + 1)) % self.vocabulary
            yield window[:, :-1], window[:, 1:]

    def heldout_batches(self, length: int, batch: int, tokens: int) -> Batches:
        batches = self.train_batches(length, batch, seed=-1)
        return (next(batches) for _ in range(max(1, tokens // (length * batch))))

    def heldout_reference(self, length: int, tokens: int) -> dict[str, float]:
        return {}


def counting(path: str | None) -> Counting:
    """Load the task; it has no file."""
    return Counting()
