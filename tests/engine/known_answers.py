"""A model and a task small enough that training and evaluation can be worked out by hand.

By hand is NumPy in float64: no autograd, no optimizer of PyTorch, none of the code that is tested.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from suites.settings import Settings
from suites.tasks.base import IGNORED, Batches

VOCABULARY = 11
Array = NDArray[np.float64]


class Bigram(nn.Module):
    """The logits of the next symbol are the token's row of one table, times SHARPNESS.

    The factor makes gradients long enough to be clipped. Every call is noted.
    """

    SHARPNESS = 2.0

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = np.random.default_rng(seed).normal(size=(VOCABULARY, VOCABULARY))
        self.table = nn.Parameter(torch.from_numpy(draw))
        self.calls: list[dict[str, Any]] = []

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.hidden(tokens))

    def hidden(self, tokens: Tensor) -> Tensor:
        self.note("forward", tokens)
        return tokens

    def head(self, tokens: Tensor) -> Tensor:
        return self.SHARPNESS * self.table[tokens]

    def loss(self, tokens: Tensor, targets: Tensor, first_position: int = 0) -> Tensor:
        self.note("loss", tokens, first_position)
        logits = self.SHARPNESS * self.table[tokens]
        return cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)

    def note(self, what: str, tokens: Tensor, first_position: int = 0) -> None:
        modes = {"training": self.training, "with grad": torch.is_grad_enabled()}
        modes["autocast"] = torch.is_autocast_enabled("cpu")
        place = {"shape": tuple(tokens.shape), "first_position": first_position}
        self.calls.append({"what": what, **modes, **place})

    def calls_of(self, what: str) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["what"] == what]


@dataclass
class Planted:
    """A task of planted windows, which notes what it was asked for.

    The targets to count are drawn, so that windows have unequal numbers of them.
    """

    name: str = "planted"
    vocabulary: int = VOCABULARY
    n_heldout: int = 100  # windows that the held-out part has
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    reference_tokens: list[int] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def train_batches(self, length: int, batch: int, seed: int) -> Batches:
        self.asked.append((length, batch, seed))
        return draw_windows(length, batch, seed)

    def heldout_batches(self, length: int, batch: int, tokens: int) -> Batches:
        n = min(max(1, tokens // length), self.n_heldout)
        windows, targets = next(draw_windows(length, n, -1))
        return zip(windows.split(batch), targets.split(batch), strict=True)

    def heldout_reference(self, length: int, tokens: int) -> dict[str, float]:
        self.reference_tokens.append(tokens)
        return {"planted": 1.5}


def draw_windows(length: int, batch: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    draw = np.random.default_rng([seed + 1, length, batch])
    while True:
        windows = torch.from_numpy(draw.integers(VOCABULARY, size=(batch, length + 1)))
        counted = torch.from_numpy(draw.random((batch, length)) < draw.random((batch, 1)))
        counted[:, 0] = True
        yield windows[:, :-1], windows[:, 1:].masked_fill(~counted, IGNORED)


def nats_by_hand(logits: Array, targets: Array) -> list[float]:
    """Return minus the log of the probability of each target that counts."""
    nats = []
    for row, target in zip(logits, targets, strict=True):
        if target != IGNORED:
            top = row.max()
            nats.append(top + math.log(sum(math.exp(x - top) for x in row)) - row[target])
    return nats


def evaluate_by_hand(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """Return bits per dim, accuracy and how many counted; logits (..., V), targets (...)."""
    rows = logits.detach().flatten(0, -2).double().numpy()
    wanted = targets.flatten().numpy()
    nats = nats_by_hand(rows, wanted)
    right = [row.argmax() == t for row, t in zip(rows, wanted, strict=True) if t != IGNORED]
    bits = sum(nats) / len(nats) / math.log(2)
    return {"bits_per_dim": bits, "accuracy": sum(right) / len(right), "heldout_tokens": len(nats)}


def train_by_hand(
    table: Array, batches: list[tuple[Tensor, Tensor]], settings: Settings
) -> tuple[list[float], list[Array]]:
    """Train a Bigram by hand; return the loss before each step, and the table after each.

    It is clipped to norm 1, then AdamW with betas 0.9 and 0.95 and without decay (Loshchilov and
    Hutter, 2019, algorithm 2), or Adafactor (Shazeer and Stern, 2018, algorithm 4).
    """
    losses, tables, state = [], [], {}
    for step, (tokens, targets) in enumerate(batches):
        loss, gradient = loss_by_hand(table, tokens.flatten().numpy(), targets.flatten().numpy())
        norm = math.sqrt((gradient**2).sum())
        gradient = gradient / max(1.0, norm + 1e-6)
        rate = settings.learning_rate * rate_by_hand(step, settings)
        update = adamw_by_hand if settings.optimizer == "adamw" else adafactor_by_hand
        table = table - update(table, gradient, step + 1, rate, state)
        losses.append(loss)
        tables.append(table)
    return losses, tables


def rate_by_hand(step: int, settings: Settings) -> float:
    """Return the share of the peak rate: up in warmup_steps, then down by equal steps."""
    warmup, n = settings.warmup_steps, settings.train_steps
    return (step + 1) / warmup if step < warmup else (n - step) / (n - warmup)


def loss_by_hand(table: Array, tokens: Array, targets: Array) -> tuple[float, Array]:
    """Return the mean loss in nats and its gradient: softmax minus one-hot, row by row."""
    counted = targets != IGNORED
    tokens, targets = tokens[counted], targets[counted]
    logits = Bigram.SHARPNESS * table[tokens]
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = exps / exps.sum(axis=1, keepdims=True)
    error[np.arange(len(targets)), targets] -= 1
    gradient = np.zeros_like(table)
    np.add.at(gradient, tokens, Bigram.SHARPNESS * error / len(targets))
    nats = nats_by_hand(logits, targets)
    return sum(nats) / len(nats), gradient


def adamw_by_hand(
    table: Array, gradient: Array, step: int, rate: float, state: dict[str, Any]
) -> Array:
    state["m"] = 0.9 * state.get("m", 0.0) + 0.1 * gradient
    state["v"] = 0.95 * state.get("v", 0.0) + 0.05 * gradient**2
    mean, variance = state["m"] / (1 - 0.9**step), state["v"] / (1 - 0.95**step)
    return rate * mean / (np.sqrt(variance) + 1e-8)


def adafactor_by_hand(
    table: Array, gradient: Array, step: int, rate: float, state: dict[str, Any]
) -> Array:
    share = step**-0.8
    for name, axis in (("rows", 1), ("columns", 0)):
        now = (gradient**2).mean(axis=axis)
        state[name] = (1 - share) * state.get(name, 0.0) + share * now
    variance = np.outer(state["rows"], state["columns"]) / state["rows"].mean()
    update = gradient / np.sqrt(np.maximum(variance, np.finfo(float).eps ** 2))
    update /= max(1.0, np.sqrt((update**2).mean()))
    return min(rate, step**-0.5) * max(1e-3, np.sqrt((table**2).mean())) * update
