"""Trivial models of pictures tell what a byte costs when only a neighbour of it is known.

Each predicts a byte, and codes its difference from that modulo 256 by a histogram for its channel,
fitted on training pictures with one added to every count. numpy only.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def trivial_models_bits(train: Bytes, heldout: Bytes) -> dict[str, float]:
    """Return the bits per byte of `heldout` under models fitted on `train`, by name.

    Both are (pictures, side, side, 3).
    """
    models: dict[str, Callable[[Bytes], Bytes]] = {
        "order 0 of each channel": lambda pictures: pictures,
        "left pixel": from_left_pixel,
        "left pixel and colours before": from_left_pixel_and_colours,
    }
    bits = {
        name: histogram_bits(residuals(train), residuals(heldout))
        for name, residuals in models.items()
    }
    return {"uniform": math.log2(256), **bits}


def histogram_bits(train: Bytes, heldout: Bytes) -> float:
    """Return the mean bits of bytes coded by the training histogram of their channel."""
    bits = []
    for channel in range(3):
        counts = 1 + np.bincount(train[..., channel].ravel(), minlength=256)
        costs = np.log2(counts.sum() / counts)
        bits.append(costs[heldout[..., channel]].mean())
    return float(np.mean(bits))


def from_left_pixel(pictures: Bytes) -> Bytes:
    """Subtract the pixel to the left, modulo 256; for a row's first the one above, else 0."""
    residuals = pictures.copy()
    residuals[:, :, 1:] -= pictures[:, :, :-1]
    residuals[:, 1:, 0] -= pictures[:, :-1, 0]
    return residuals


def from_left_pixel_and_colours(pictures: Bytes) -> Bytes:
    """Expect of green and blue the change from the left pixel that the colour before had."""
    changes = from_left_pixel(pictures)
    residuals = changes.copy()
    residuals[..., 1:] -= changes[..., :-1]
    return residuals
