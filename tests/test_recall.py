"""The task `recall` is multi-query associative recall, as its authors define it."""

import math
from itertools import islice, permutations

import pytest
import torch

from suites.settings import Settings
from suites.tasks import IGNORED, load_task
from suites.tasks.recall import POWER

KEYS, VALUES = range(1, 4096), range(4096, 8192)


@pytest.mark.parametrize(
    ("length", "n_pairs", "batch"), [(4, 1, 2), (17, 3, 5), (64, 4, 3), (64, 16, 2), (256, 7, 2)]
)
def test_pairs_come_first_and_each_key_once_more(length: int, n_pairs: int, batch: int) -> None:
    task = load_task("recall", n_pairs=n_pairs)
    assert task.vocabulary == 8192
    for tokens, targets in islice(task.train_batches(length, batch, seed=3), 4):
        assert tokens.shape == targets.shape == (batch, length)
        assert tokens.dtype == targets.dtype == torch.int64
        for row, answers in zip(tokens.tolist(), targets.tolist(), strict=True):
            pairs = dict(zip(row[0 : 2 * n_pairs : 2], row[1 : 2 * n_pairs : 2], strict=True))
            assert len(pairs) == len(set(pairs.values())) == n_pairs
            assert all(key in KEYS and value in VALUES for key, value in pairs.items())
            after = {t: token for t, token in enumerate(row) if t >= 2 * n_pairs and token}
            assert sorted(after.values()) == sorted(pairs)
            assert all((t - 2 * n_pairs) % 2 == 0 for t in after)
            expected = [pairs[after[t]] if t in after else IGNORED for t in range(length)]
            assert answers == expected


def test_places_of_queries_follow_the_power_law() -> None:
    """Of two keys the first draws one of four places, the second one of the three that are left."""
    length, n_pairs, n = 12, 2, 24_000
    tokens, _ = next(load_task("recall", n_pairs=n_pairs).train_batches(length, n, seed=1))
    places = [
        (tokens[:, 4:] == tokens[:, [2 * pair]]).int().argmax(dim=1) // 2 for pair in range(n_pairs)
    ]
    weights = [(i + 1) ** (POWER - 1) for i in range(4)]
    chi_square = 0.0
    for a, b in permutations(range(4), 2):
        chance = weights[a] / sum(weights) * weights[b] / (sum(weights) - weights[a])
        found = int(((places[0] == a) & (places[1] == b)).sum())
        chi_square += (found - n * chance) ** 2 / (n * chance)
    assert chi_square < 35  # 11 degrees of freedom: exceeded once in 4,000 draws


def test_keys_and_values_are_uniform() -> None:
    tokens, _ = next(load_task("recall", n_pairs=8).train_batches(32, 8000, seed=2))
    for columns, symbols in ((tokens[:, 0:16:2], KEYS), (tokens[:, 1:16:2], VALUES)):
        counts = columns.flatten().bincount(minlength=8192)
        assert counts.sum() == counts[symbols.start : symbols.stop].sum() == 64_000
        expected = 64_000 / len(symbols)
        chi_square = float(((counts[symbols] - expected) ** 2 / expected).sum())
        assert 3730 < chi_square < 4460  # about 4,095 degrees of freedom, standard deviation 90


def test_heldout_is_fixed_and_never_in_training() -> None:
    task = load_task("recall", n_pairs=2)
    heldout = [tuple(row.tolist()) for part, _ in task.heldout_batches(16, 4, 160) for row in part]
    assert len(set(heldout)) == 10
    for batch in (1, 3, 10):
        again = torch.cat([tokens for tokens, _ in task.heldout_batches(16, batch, 160)])
        assert [tuple(row.tolist()) for row in again] == heldout
    # not a single key stands where it stands in training, as it would in a prefix of its stream
    keys = torch.tensor(heldout)[:, 0]
    for seed in range(20):
        tokens, _ = next(task.train_batches(16, 10, seed))
        assert (tokens[:, 0] == keys).sum() < 3
        assert not set(heldout) & {tuple(row.tolist()) for row in tokens}


def test_the_seed_decides_training_batches() -> None:
    task = load_task("recall", n_pairs=3)

    def first(seed: int) -> torch.Tensor:
        return torch.stack([tokens for tokens, _ in islice(task.train_batches(32, 2, seed), 4)])

    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))
    assert len({tuple(batch.flatten().tolist()) for batch in first(3)}) == 4


@pytest.mark.parametrize(
    ("n_pairs", "length", "said"),
    [
        (3, 11, "n_pairs is 3; a sequence of length 11 holds 1 to 2"),
        (9, 32, "n_pairs is 9; a sequence of length 32 holds 1 to 8"),
        (4096, 16384, "n_pairs is 4096; a sequence of length 16384 holds 1 to 4095"),
        (1, 3, "length 3 holds no pair of the task recall; it must be at least 4"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(n_pairs: int, length: int, said: str) -> None:
    task = load_task("recall", n_pairs=n_pairs)
    with pytest.raises(ValueError, match=said):
        task.train_batches(length, 1, 0)
    with pytest.raises(ValueError, match=said):
        task.heldout_batches(length, 1, 100)
    with pytest.raises(ValueError, match=said):
        Settings(task="recall", length=length, n_pairs=n_pairs)
    with pytest.raises(ValueError, match=said):
        Settings(task="recall", length=65536, n_pairs=n_pairs, first_steps=1, first_length=length)
    Settings(task="duplication", length=length, n_pairs=n_pairs)  # without effect there


@pytest.mark.parametrize("n_pairs", [0, -1, 1.5, True])
def test_a_number_of_pairs_is_a_count(n_pairs: object) -> None:
    with pytest.raises(ValueError, match=r"n_pairs is .*; it must be an integer of 1 or more"):
        Settings(n_pairs=n_pairs)  # type: ignore[arg-type]


def test_chance() -> None:
    assert load_task("recall").heldout_reference(16, 100) == {"chance": math.log2(4096)}
