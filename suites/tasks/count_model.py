"""Count models of text tell what a byte costs when only the few bytes before it are known.

The next byte's probability after a context h is its share among what followed h in training,
interpolated with the same model of the context shortened by one byte; the weight of the shorter
context is the number of distinct followers of h (Witten and Bell 1991, method C):

    p(c | h) = (n(h c) + T(h) p(c | h')) / (n(h) + T(h))

Below order 0 stands the uniform distribution over 256 bytes. There is nothing to tune. numpy only.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]

# Bytes of text counted at once: bounds the memory of counting to a few times 8 bytes times this.
PIECE = 1 << 20
N_BYTES = 256


def count_model_bits(train: Bytes, heldout: Bytes, max_order: int = 4) -> list[float]:
    """Return the bits per byte over `heldout` of the models of order 0 to `max_order`.

    The models are fitted on `train`. The first `max_order` bytes of `heldout` are context only and
    cost nothing.
    """
    tables = number_contexts(heldout, max_order)
    targets = heldout[max_order:]
    probability = np.full(len(targets), 1 / N_BYTES)
    bits = []
    counted = count_followers(train, tables)
    for numbers, followers in zip(numbers_of(heldout, tables), counted, strict=True):
        contexts = numbers[max_order:]
        seen = followers[contexts, targets]
        total = followers.sum(axis=1)[contexts]
        distinct = np.count_nonzero(followers, axis=1)[contexts]
        backed_off = (seen + distinct * probability) / np.maximum(total + distinct, 1)
        probability = np.where(total > 0, backed_off, probability)
        bits.append(float(-np.log2(probability).mean()))
    return bits


def number_contexts(text: Bytes, max_order: int) -> list[Numbers]:
    """Number the contexts that occur in a text, those of each order from 0.

    Returns a table for each order from 1: the context's number, by the number of the context that
    is shorter by its first byte, times 256, plus that byte. What does not occur has the number
    after the last, also where already the shorter one does not. Counts of all contexts, of which a
    long text has too many, are never made.
    """
    tables: list[Numbers] = []
    n_shorter = 1
    for order in range(1, max_order + 1):
        *_, shorter = numbers_of(text, tables)
        longer = np.unique(shorter[order:] * N_BYTES + text[:-order])
        table = np.full((n_shorter + 1) * N_BYTES, len(longer))
        table[longer] = np.arange(len(longer))
        tables.append(table)
        n_shorter = len(longer)
    return tables


def numbers_of(text: Bytes, tables: list[Numbers]) -> Iterator[Numbers]:
    """Yield, for each order, the number of the context before each byte of a text: (len(text),)."""
    numbers = np.zeros(len(text), dtype=np.int64)
    yield numbers
    for order, table in enumerate(tables, start=1):
        numbers = table[numbers * N_BYTES + np.roll(text, order)]
        numbers[:order] = table[-1]
        yield numbers


def count_followers(train: Bytes, tables: list[Numbers]) -> list[Numbers]:
    """Count for each order how often each byte follows each context: (contexts + 1, 256)."""
    sizes = [2 * N_BYTES, *((int(table[-1]) + 1) * N_BYTES for table in tables)]
    counts = [np.zeros(size, dtype=np.int64) for size in sizes]
    for start in range(0, len(train), PIECE):
        first = max(0, start - len(tables))  # contexts may begin in the piece before
        piece, new = train[first : start + PIECE], slice(start - first, None)
        for count, numbers in zip(counts, numbers_of(piece, tables), strict=True):
            count += np.bincount(numbers[new] * N_BYTES + piece[new], minlength=len(count))
    return [count.reshape(-1, N_BYTES) for count in counts]
