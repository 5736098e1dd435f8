"""Pictures are byte sequences: row by row, the red, green and blue of a pixel one after the other.

The length chooses the side, as the paper's imagenet64 has 12,288 = 64 x 64 x 3 bytes; smaller
pictures are the same ones, averaged over squares of pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reformer.checks import require
from suites.tasks.base import Batches
from suites.tasks.pictures_models import trivial_models_bits

Bytes = NDArray[np.uint8]

SIDE = 64
PICTURE_BYTES = SIDE * SIDE * 3
SIDE_OF_LENGTH = {3 * side * side: side for side in (16, 32, SIDE)}
# Windows to begin a training with are rows of the smallest pictures.
SMALLEST = min(SIDE_OF_LENGTH)
ROW = 3 * SIDE_OF_LENGTH[SMALLEST]
# So many training pictures at most, evenly spaced, the trivial models are fitted on.
FITTED_ON = 3000


class Pictures(Protocol):
    """Pictures are a part of the data, in memory or read when they are drawn."""

    def __len__(self) -> int: ...

    def take(self, indices: NDArray[np.int64]) -> Bytes:
        """Return those pictures, (len(indices), 64, 64, 3). Raises ValueError on damaged ones."""


@dataclass(frozen=True, slots=True, eq=False)
class PicturesInMemory:
    """Pictures in memory are an array, (number, 64, 64, 3)."""

    pixels: Bytes

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, indices: NDArray[np.int64]) -> Bytes:
        """Return those pictures (Pictures.take)."""
        return self.pixels[indices]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureTask:
    """A picture task holds pictures to train on, pictures held out, and what is known of them.

    identity: "sha256" or "version", and what else describe() shall tell. n_valid: how many pictures
    are in neither part.
    """

    name: str
    train: Pictures
    test: Pictures
    stand_in: bool
    source: str
    identity: dict[str, Any]
    n_valid: int = 0
    vocabulary: int = 256

    def describe(self) -> dict[str, Any]:
        """Describe the data for a record (Task.describe); bytes are those at 64 x 64."""
        pictures = {"train": len(self.train), "valid": self.n_valid, "test": len(self.test)}
        splits = {part: n * PICTURE_BYTES for part, n in pictures.items()}
        facts = {"name": self.name, "stand_in": self.stand_in, "source": self.source}
        sizes = {"bytes": sum(splits.values()), "splits": splits, "pictures": pictures}
        return {**facts, **sizes, **self.identity}

    def train_batches(self, length: int, batch: int, seed: int) -> Batches:
        """Yield training pictures drawn at random, without end; shorter windows are some rows.

        Raises ValueError unless `length` is that of a whole picture, or of rows of a smallest one.
        """
        generator = np.random.default_rng(seed)
        if length in range(ROW, SMALLEST, ROW):
            return draw_rows(self.train, length, batch, generator)
        return draw_pictures(self.train, side_of(length), batch, generator)

    def heldout_batches(self, length: int, batch: int, tokens: int) -> Batches:
        """Yield the first held-out pictures, one a window (Task.heldout_batches)."""
        side = side_of(length)
        indices = np.arange(max(1, min(tokens // length, len(self.test))))
        parts = (indices[i : i + batch] for i in range(0, len(indices), batch))
        return (as_batch(of_side(side, self.test, part)) for part in parts)

    def heldout_reference(self, length: int, tokens: int) -> dict[str, float]:
        """Return the bits per byte of trivial models fitted on training pictures of that size."""
        side = side_of(length)
        n_heldout = max(1, min(tokens // length, len(self.test)))
        n_fitted = min(FITTED_ON, len(self.train))
        fitted = np.arange(n_fitted) * len(self.train) // n_fitted
        return trivial_models_bits(
            of_side(side, self.train, fitted), of_side(side, self.test, np.arange(n_heldout))
        )


def side_of(length: int) -> int:
    """Return the side of the square pictures of so many bytes. Raises ValueError on others."""
    legal = " or ".join(f"{n:,} ({side} x {side})" for n, side in SIDE_OF_LENGTH.items())
    require(
        length in SIDE_OF_LENGTH,
        f"length {length} is no whole square RGB picture of this task; legal: {legal}",
    )
    return SIDE_OF_LENGTH[length]


def of_side(side: int, pictures: Pictures, indices: NDArray[np.int64]) -> Bytes:
    """Take some pictures and shrink them, (len(indices), side, side, 3)."""
    return averaged(pictures.take(indices), SIDE // side)


def averaged(pictures: Bytes, factor: int) -> Bytes:
    """Average pictures (..., rows, columns, 3) over squares of side `factor`, rounded.

    What is left over at the bottom and at the right is cut off.
    """
    rows, columns = (n // factor for n in pictures.shape[-3:-1])
    if factor == 1:
        return pictures
    whole = pictures[..., : rows * factor, : columns * factor, :]
    squares = whole.reshape(*pictures.shape[:-3], rows, factor, columns, factor, 3)
    sums = squares.sum(axis=(-4, -2), dtype=np.uint32)
    return ((sums + factor * factor // 2) // (factor * factor)).astype(np.uint8)


def draw_pictures(
    pictures: Pictures, side: int, batch: int, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of uniformly random pictures of that side, without end."""
    while True:
        yield as_batch(of_side(side, pictures, generator.integers(len(pictures), size=batch)))


def draw_rows(
    pictures: Pictures, length: int, batch: int, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of rows of that length, at random heights of random smallest pictures.

    A window of eight rows of eight pictures teaches more than the same bytes of one picture.
    """
    side = SIDE_OF_LENGTH[SMALLEST]
    while True:
        drawn = generator.integers(len(pictures), size=batch)
        tokens, targets = as_batch(of_side(side, pictures, drawn))
        first = ROW * generator.integers((SMALLEST - length) // ROW + 1, size=batch)
        places = torch.from_numpy(first[:, None] + np.arange(length))
        yield tokens.gather(1, places), targets.gather(1, places)


def as_batch(pictures: Bytes) -> tuple[Tensor, Tensor]:
    """Turn pictures into tokens and targets: every byte is a target, after a 0 and those before."""
    targets = torch.from_numpy(pictures.reshape(len(pictures), -1).astype(np.int64))
    tokens = torch.zeros_like(targets)
    tokens[:, 1:] = targets[:, :-1]
    return tokens, targets
