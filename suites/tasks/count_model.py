"""Count models of text tell what a byte costs when only the few bytes before it are known.

The next byte's probability after a context h is its share among what followed h in training,
interpolated with the same model of the context shortened by one byte; the weight of the shorter
context is the number of distinct followers of h (Witten and Bell 1991, method C):

    p(c | h) = (n(h c) + T(h) p(c | h')) / (n(h) + T(h))

Below order 0 stands the uniform distribution over 256 bytes. There is nothing to tune. numpy only.
"""

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

# Bytes of text counted at once: bounds the memory of counting to a few times 8 bytes times this.
PIECE = 1 << 20


def count_model_bits(train: Bytes, heldout: Bytes, max_order: int = 2) -> list[float]:
    """Return the bits per byte over `heldout` of the models of order 0 to `max_order`.

    The models are fitted on `train`. The first `max_order` bytes of `heldout` are context only and
    cost nothing.
    """
    size, symbols = shared_alphabet(train, heldout)
    text = symbols[heldout]
    targets = text[max_order:]
    probability = np.full(len(targets), 1 / 256)
    bits = []
    for order, followers in enumerate(count_followers(train, symbols, size, max_order)):
        contexts = n_gram_codes(text, order + 1, size)[max_order - order :] // size
        seen = followers[contexts, targets]
        total = followers.sum(axis=1)[contexts]
        distinct = np.count_nonzero(followers, axis=1)[contexts]
        backed_off = (seen + distinct * probability) / np.maximum(total + distinct, 1)
        probability = np.where(total > 0, backed_off, probability)
        bits.append(float(-np.log2(probability).mean()))
    return bits


def shared_alphabet(*texts: Bytes) -> tuple[int, NDArray[np.int64]]:
    """Return how many byte values occur, and the rank of each of the 256 among them."""
    used = np.zeros(256, dtype=bool)
    for text in texts:
        for start in range(0, len(text), PIECE):
            used |= np.bincount(text[start : start + PIECE], minlength=256) > 0
    return int(used.sum()), np.cumsum(used) - 1


def count_followers(
    train: Bytes, symbols: NDArray[np.int64], size: int, max_order: int
) -> list[NDArray[np.int64]]:
    """Count for each order how often each symbol follows each context.

    Returns a table of shape (size ** order, size) for each order from 0 to `max_order`.
    """
    counts = np.zeros(size ** (max_order + 1), dtype=np.int64)
    for start in range(0, len(train), PIECE):
        # max_order more bytes: the n-grams that begin here and end in the next piece
        piece = symbols[train[start : start + PIECE + max_order]]
        np.add.at(counts, n_gram_codes(piece, max_order + 1, size), 1)
    tables = [counts]
    for n in range(max_order, 0, -1):
        # every shorter n-gram ends a longer one, except the one at the very beginning
        counts = counts.reshape(size, -1).sum(axis=0)
        counts[n_gram_codes(symbols[train[:n]], n, size)] += 1
        tables.insert(0, counts)
    return [table.reshape(-1, size) for table in tables]


def n_gram_codes(text: NDArray[np.int64], n: int, size: int) -> NDArray[np.int64]:
    """Encode each run of n symbols as one number, earliest symbol first: (len(text) - n + 1,)."""
    n_codes = max(0, len(text) - n + 1)
    codes = np.zeros(n_codes, dtype=np.int64)
    for offset in range(n):
        codes *= size
        codes += text[offset : offset + n_codes]
    return codes
