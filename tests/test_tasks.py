"""Tasks come by name, and their batches hold the same held-out text for every model."""

import hashlib
import json
import math
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from suites.settings import BY_ACCURACY, NEED_DATA, TASKS, TEXT_TASKS
from suites.tasks import EMBEDDED, IGNORED, TAKES_PAIRS, TAKES_PATH, enwiki_head, load_task
from suites.tasks.text import TextTask


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("REFORMER_DATA", raising=False)


@pytest.fixture(scope="module")
def enwiki() -> TextTask:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", "/nonexistent")
        return enwiki_head.load_enwiki_head()


def text_task(n_train: int, n_valid: int, n_test: int, seed: int = 0) -> TextTask:
    """Draw random bytes; each split has its own range of values."""
    draw = np.random.default_rng(seed).integers
    data = np.concatenate(
        [draw(0, 100, n_train), draw(100, 150, n_valid), draw(150, 256, n_test)]
    ).astype(np.uint8)
    splits = {"train": n_train, "valid": n_valid, "test": n_test}
    return TextTask(
        name="enwik8", data=data, splits=splits, sha256="0", stand_in=True, source="random"
    )


def test_training_windows_are_training_text_one_step_apart() -> None:
    task = text_task(300, 200, 400)
    train = task.data[:300].tobytes()
    for tokens, targets in islice(task.train_batches(16, 3, seed=5), 20):
        assert tokens.dtype == targets.dtype == torch.int64
        assert tokens.shape == targets.shape == (3, 16)
        for row, row_targets in zip(tokens, targets, strict=True):
            assert torch.equal(row[1:], row_targets[:-1])
            assert bytes([*row.tolist(), int(row_targets[-1])]) in train


def test_training_windows_start_everywhere_equally_often() -> None:
    task = text_task(20, 1, 20)
    data = torch.from_numpy(task.data[:20].astype(np.int64))
    windows = [data[i : i + 8] for i in range(12)]
    tokens, _ = next(task.train_batches(8, 12_000, seed=1))
    counts = [int((tokens == window).all(dim=1).sum()) for window in windows]
    # 12 places of a 9-byte window in 20 bytes; 1000 expected, standard deviation 30
    assert sum(counts) == 12_000
    assert all(850 < count < 1150 for count in counts)


@pytest.mark.parametrize(
    ("name", "length"), [("enwiki-head", 64), ("duplication", 64), ("photos64", 768)]
)
def test_seed_decides_training_batches(name: str, length: int, enwiki: TextTask) -> None:
    task = enwiki if name == "enwiki-head" else load_task(name)

    def first(seed: int) -> torch.Tensor:
        return torch.stack([tokens for tokens, _ in islice(task.train_batches(length, 2, seed), 4)])

    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))
    assert len({tuple(batch.flatten().tolist()) for batch in first(3)}) == 4


@pytest.mark.parametrize(
    ("length", "batch", "tokens", "n_windows"),
    [
        (16, 3, 160, 10),
        (16, 4, 175, 10),
        (64, 2, 10, 1),
        (7, 5, 10**9, 57),
        (399, 1, 1, 1),
        (8, 7, 400, 49),
    ],
)
def test_heldout_windows_are_the_beginning_of_the_test_split(
    length: int, batch: int, tokens: int, n_windows: int
) -> None:
    task = text_task(300, 200, 400)
    batches = list(task.heldout_batches(length, batch, tokens))
    assert [len(part) for part, _ in batches[:-1]] == [batch] * (len(batches) - 1)
    assert len(batches) == math.ceil(n_windows / batch)
    n = n_windows * length
    test = torch.from_numpy(task.data[500:].astype(np.int64))
    assert torch.equal(torch.cat([part for part, _ in batches]).flatten(), test[:n])
    assert torch.equal(torch.cat([part for _, part in batches]).flatten(), test[1 : n + 1])


def test_length_that_does_not_fit_is_refused_at_once() -> None:
    task = text_task(300, 200, 400)
    with pytest.raises(ValueError, match="length 300 does not fit the training part of 300 bytes"):
        task.train_batches(300, 1, 0)
    with pytest.raises(ValueError, match="legal: 1 to 399"):
        task.heldout_batches(400, 1, 400)
    with pytest.raises(ValueError, match="length 0"):
        task.train_batches(0, 1, 0)


@pytest.mark.parametrize(("length", "batch"), [(4, 1), (10, 3), (1024, 2)])
def test_duplication_is_0w0w(length: int, batch: int) -> None:
    task = load_task("duplication")
    assert task.vocabulary == 128
    half = length // 2
    for tokens, targets in islice(task.train_batches(length, batch, seed=0), 3):
        assert tokens.shape == targets.shape == (batch, length)
        assert tokens.dtype == targets.dtype == torch.int64
        assert torch.equal(tokens[:, :half], tokens[:, half:])
        assert (tokens[:, 0] == 0).all()
        assert tokens[:, 1:half].min() >= 1
        counted = targets != IGNORED
        assert torch.equal(counted.nonzero()[:, 1].unique(), torch.arange(half, length - 1))
        assert (counted.sum(dim=1) == half - 1).all()
        assert torch.equal(targets[:, half:-1], tokens[:, half + 1 :])


def test_duplication_symbols_are_uniform() -> None:
    tokens, _ = next(load_task("duplication").train_batches(1024, 500, seed=2))
    counts = tokens[:, 1:512].flatten().bincount(minlength=128)
    assert counts[0] == 0
    expected = 500 * 511 / 127
    chi_square = float(((counts[1:] - expected) ** 2 / expected).sum())
    assert 60 < chi_square < 220  # 126 degrees of freedom, standard deviation 16


def test_duplication_heldout_is_fixed_and_never_in_training() -> None:
    task = load_task("duplication")
    heldout = [
        tuple(row.tolist()) for batch, _ in task.heldout_batches(32, 4, 320) for row in batch
    ]
    assert len(set(heldout)) == 10
    for batch in (1, 3, 10):
        again = torch.cat([tokens for tokens, _ in task.heldout_batches(32, batch, 320)])
        assert [tuple(row.tolist()) for row in again] == heldout
    for seed in range(20):
        tokens, _ = next(task.train_batches(32, 50, seed))
        assert not set(heldout) & {tuple(row.tolist()) for row in tokens}


def test_duplication_heldout_has_at_least_one_sequence() -> None:
    ((tokens, _),) = load_task("duplication").heldout_batches(64, 8, 10)
    assert tokens.shape == (1, 64)


@pytest.mark.parametrize(("length", "near"), [(7, "6, 8"), (2, "4, 6"), (0, "4, 6")])
def test_duplication_refuses_lengths(length: int, near: str) -> None:
    task = load_task("duplication")
    with pytest.raises(ValueError, match=f"length {length} cannot .* nearest legal: {near}"):
        task.train_batches(length, 1, 0)
    with pytest.raises(ValueError, match=f"length {length} "):
        task.heldout_batches(length, 1, 100)


def test_duplication_chance() -> None:
    assert load_task("duplication").heldout_reference(10, 100) == {"chance": math.log2(127)}


@pytest.mark.parametrize("name", [*EMBEDDED, *TAKES_PAIRS])
def test_describe_goes_through_json(name: str) -> None:
    facts = load_task(name).describe()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["name"] == name
    assert set(facts["splits"]) == {"train", "valid", "test"}
    assert "sha256" in facts or "version" in facts


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown task 'enwiki-haed'; did you mean 'enwiki-head'"):
        load_task("enwiki-haed")


def test_the_names_of_the_settings_are_those_of_the_tasks() -> None:
    assert sorted(TASKS) == sorted((*EMBEDDED, *TAKES_PAIRS, *TAKES_PATH))
    assert NEED_DATA == TAKES_PATH
    assert set(TEXT_TASKS) == set(TASKS) - {*BY_ACCURACY, "photos64", "imagenet64"}


def test_own_text_is_its_bytes_split_by_position(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_bytes(bytes(range(200)) * 10)
    task = load_task("text", str(file))
    facts = task.describe()
    assert (facts["source"], facts["bytes"], facts["stand_in"]) == ("own.txt", 2000, False)
    assert facts["splits"] == {"train": 1800, "valid": 100, "test": 100}
    assert facts["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    ((tokens, targets),) = task.heldout_batches(99, 1, 99)
    assert tokens.tolist() == [list(file.read_bytes()[1900:1999])]
    assert targets.tolist() == [list(file.read_bytes()[1901:2000])]


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot read the text in"), (b"", "is empty")]
)
def test_text_that_is_not_there_is_a_sentence(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "own.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{said}.*--data text=FILE"):
        load_task("text", str(file))


@pytest.mark.parametrize("name", [*EMBEDDED, *TAKES_PAIRS])
def test_path_without_effect_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"takes no path.*tasks that take one: enwik8"):
        load_task(name, str(tmp_path))
