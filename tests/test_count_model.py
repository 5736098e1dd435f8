"""Count models equal a slow twin, and compress the embedded text."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from suites.tasks import count_model, enwiki_head
from suites.tasks.count_model import count_model_bits
from suites.tasks.text import TextTask


@pytest.fixture(scope="module")
def enwiki() -> TextTask:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", "/nonexistent")
        return enwiki_head.load_enwiki_head()


def text_task(n_symbols: int) -> TextTask:
    """Draw random bytes, few enough for every order to have learnt something."""
    data = np.random.default_rng(0).integers(0, n_symbols, 900).astype(np.uint8)
    splits = {"train": 300, "valid": 200, "test": 400}
    return TextTask(
        name="enwik8", data=data, splits=splits, sha256="0", stand_in=True, source="random"
    )


def slow_count_model(train: bytes, heldout: bytes, max_order: int) -> list[float]:
    """Compute the same model with dictionaries and recursion, byte by byte."""
    followers: dict[bytes, Counter[int]] = {}
    for order in range(max_order + 1):
        for i in range(order, len(train)):
            followers.setdefault(train[i - order : i], Counter())[train[i]] += 1

    def probability(context: bytes, byte: int) -> float:
        shorter = probability(context[1:], byte) if context else 1 / 256
        seen = followers.get(context)
        if seen is None:
            return shorter
        return (seen[byte] + len(seen) * shorter) / (seen.total() + len(seen))

    positions = range(max_order, len(heldout))
    return [
        -sum(math.log2(probability(heldout[i - order : i], heldout[i])) for i in positions)
        / len(positions)
        for order in range(max_order + 1)
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("piece", [7, 64, 1 << 20])
def test_count_model_equals_slow_twin(
    seed: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count_model, "PIECE", piece)
    draw = np.random.default_rng(seed).integers
    train = (draw(0, 5, 200) * 51).astype(np.uint8)
    heldout = (draw(0, 6, 60) * 51).astype(np.uint8)  # 255 never occurs in training
    for max_order in range(4):
        slow = slow_count_model(train.tobytes(), heldout.tobytes(), max_order)
        assert count_model_bits(train, heldout, max_order) == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize("context", [b"th", b"\x00t", b"\xff\xfe"])  # usual, half seen, unseen
def test_count_model_probabilities_sum_to_one(context: bytes, enwiki: TextTask) -> None:
    train = enwiki.data[:3_000]
    endings = [np.frombuffer(context + bytes([byte]), np.uint8) for byte in range(256)]
    bits = np.array([count_model_bits(train, ending) for ending in endings])
    np.testing.assert_allclose((2.0**-bits).sum(axis=0), 1, rtol=1e-12)


def test_reference_covers_the_targets_of_the_heldout_batches() -> None:
    task = text_task(n_symbols=5)
    targets = [batch for _, batch in task.heldout_batches(16, 3, 160)]
    train, heldout = task.data[:300].tobytes(), bytes(torch.cat(targets).flatten().tolist())
    context = task.data[499:501].tobytes()
    slow = slow_count_model(train, context + heldout, 2)
    assert list(task.heldout_reference(16, 160).values()) == pytest.approx(slow, abs=1e-12)


def test_reference_of_enwiki_head(enwiki: TextTask) -> None:
    # whole split, then the part that suites use; 2.23 bits per byte is what bzip2 needs
    whole = {"order 0": 5.0857, "order 1": 3.9192, "order 2": 3.1829}
    part = {"order 0": 5.0803, "order 1": 3.9140, "order 2": 3.1605}
    assert enwiki.heldout_reference(64, 10**9) == pytest.approx(whole, abs=1e-4)
    assert enwiki.heldout_reference(64, 131_072) == pytest.approx(part, abs=1e-4)
