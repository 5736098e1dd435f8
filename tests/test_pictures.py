"""Pictures become the bytes of their pixels in order, and trivial models code what they say."""

import math
from itertools import islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from suites.tasks.pictures import PicturesInMemory, PictureTask, averaged
from suites.tasks.pictures_models import trivial_models_bits


def random_pictures(n: int, seed: int, low: int = 0, high: int = 256) -> NDArray[np.uint8]:
    draw = np.random.default_rng(seed).integers
    return draw(low, high, (n, 64, 64, 3)).astype(np.uint8)


def picture_task(n_train: int = 5, n_test: int = 4, seed: int = 0) -> PictureTask:
    """Draw random pictures; each part has its own range of values."""
    return PictureTask(
        name="photos64",
        train=PicturesInMemory(random_pictures(n_train, seed, high=128)),
        test=PicturesInMemory(random_pictures(n_test, seed + 1, low=128)),
        stand_in=True,
        source="random",
        identity={"version": "0"},
    )


def test_tokens_are_rows_of_pixels_and_every_byte_is_a_target() -> None:
    task = picture_task()
    picture = task.test.take(np.array([0]))[0]
    ((tokens, targets),) = task.heldout_batches(12288, 1, 12288)
    assert tokens.dtype == targets.dtype == torch.int64
    for row, column, channel in ((0, 0, 0), (0, 0, 2), (0, 63, 1), (1, 0, 0), (17, 5, 2)):
        place = (row * 64 + column) * 3 + channel
        assert targets[0, place] == picture[row, column, channel]
    assert tokens[0, 0] == 0
    assert torch.equal(tokens[:, 1:], targets[:, :-1])
    assert tokens.shape == targets.shape == (1, 12288)


@pytest.mark.parametrize(("length", "side"), [(768, 16), (3072, 32), (12288, 64)])
def test_the_length_chooses_the_side(length: int, side: int) -> None:
    task = picture_task()
    picture = task.test.take(np.array([0]))[0].astype(float)
    factor = 64 // side
    ((_, targets),) = task.heldout_batches(length, 1, 1)
    found = targets.reshape(side, side, 3)
    for row, column, channel in np.ndindex(side, side, 3):
        square = picture[
            row * factor : (row + 1) * factor, column * factor : (column + 1) * factor, channel
        ]
        # a half is rounded up
        assert found[row, column, channel] == math.floor(square.mean() + 0.5)


def test_averaging_leaves_out_what_is_over() -> None:
    pictures = random_pictures(1, 3)[0, :7, :11]
    small = averaged(pictures, 3)
    assert small.shape == (2, 3, 3)
    assert small[1, 2, 0] == math.floor(pictures[3:6, 6:9, 0].astype(float).mean() + 0.5)


@pytest.mark.parametrize("length", [0, 1, 64, 767, 1024, 3073, 49152, -48])
def test_other_lengths_are_refused_in_one_sentence(length: int) -> None:
    task = picture_task()
    said = rf"length {length} .* legal: 768 \(16 x 16\) or 3,072 \(32 x 32\) or 12,288 \(64 x 64\)$"
    for ask in (
        lambda: task.train_batches(length, 1, 0),
        lambda: task.heldout_batches(length, 1, 1),
        lambda: task.heldout_reference(length, 1),
    ):
        with pytest.raises(ValueError, match=said):
            ask()


def test_training_pictures_are_drawn_equally_often_and_the_seed_decides() -> None:
    task = picture_task()
    whole = {p.tobytes(): i for i, p in enumerate(averaged(task.train.take(np.arange(5)), 4))}

    def drawn(seed: int, batch: int, n: int) -> list[int]:
        batches = islice(task.train_batches(768, batch, seed), n)
        return [
            whole[one.numpy().astype(np.uint8).tobytes()]
            for _, targets in batches
            for one in targets
        ]

    assert drawn(3, 2, 10) == drawn(3, 2, 10) != drawn(4, 2, 10)
    counts = np.bincount(drawn(1, 500, 10), minlength=5)
    # 5,000 draws of 5 pictures: 1,000 expected, standard deviation 28
    assert all(860 < count < 1140 for count in counts)


@pytest.mark.parametrize(("length", "n_places"), [(48, 16), (96, 15), (720, 2)])
def test_shorter_training_windows_are_rows_of_a_smallest_picture(
    length: int, n_places: int
) -> None:
    task = picture_task(2)
    pictures = averaged(task.train.take(np.arange(2)), 4).reshape(2, -1).tolist()
    found = set()
    for tokens, targets in islice(task.train_batches(length, 8, seed=1), 60):
        assert tokens.shape == targets.shape == (8, length)
        assert tokens.dtype == targets.dtype == torch.int64
        for row, expected in zip(tokens.tolist(), targets.tolist(), strict=True):
            (place,) = [
                (i, first)
                for i, picture in enumerate(pictures)
                for first in range(0, 768 - length + 1, 48)
                if picture[first : first + length] == expected
            ]
            assert row == [0, *pictures[place[0]]][place[1] : place[1] + length]
            found.add(place)
    assert len(found) == 2 * n_places


@pytest.mark.parametrize(
    ("batch", "tokens", "n_pictures"),
    [(1, 1, 1), (3, 2 * 3072 + 5, 2), (3, 10**9, 4), (4, 9216, 3)],
)
def test_heldout_pictures_are_the_first_of_the_test_part(
    batch: int, tokens: int, n_pictures: int
) -> None:
    task = picture_task()
    batches = list(task.heldout_batches(3072, batch, tokens))
    assert [len(part) for part, _ in batches[:-1]] == [batch] * (len(batches) - 1)
    found = torch.cat([targets for _, targets in batches])
    expected = averaged(task.test.take(np.arange(n_pictures)), 2).reshape(n_pictures, -1)
    assert np.array_equal(found.numpy(), expected)


def test_pictures_are_described_in_bytes() -> None:
    facts = picture_task(7, 3).describe()
    assert facts["splits"] == {"train": 7 * 12288, "valid": 0, "test": 3 * 12288}
    assert facts["bytes"] == 10 * 12288
    assert facts["pictures"] == {"train": 7, "valid": 0, "test": 3}
    assert facts["version"] == "0"


def slow_bits(train: NDArray[np.uint8], heldout: NDArray[np.uint8], model: str) -> float:
    """Code each byte by hand: its difference from what the model expects, by channel."""

    def expected(picture: NDArray[np.uint8], row: int, column: int, channel: int) -> int:
        def left(channel: int) -> int:
            if column:
                return int(picture[row, column - 1, channel])
            return int(picture[row - 1, column, channel]) if row else 0

        if model == "order 0 of each channel":
            return 0
        if model == "left pixel" or channel == 0:
            return left(channel)
        change = int(picture[row, column, channel - 1]) - left(channel - 1)
        return left(channel) + change

    def differences(pictures: NDArray[np.uint8]) -> list[tuple[int, int]]:
        return [
            (place[2], (int(picture[place]) - expected(picture, *place)) % 256)
            for picture in pictures
            for place in np.ndindex(picture.shape)
        ]

    counts = np.ones((3, 256))
    for channel, difference in differences(train):
        counts[channel, difference] += 1
    costs = [
        math.log2(counts[channel].sum() / counts[channel, difference])
        for channel, difference in differences(heldout)
    ]
    return sum(costs) / len(costs)


@pytest.mark.parametrize("seed", [0, 1])
def test_trivial_models_code_as_by_hand(seed: int) -> None:
    steps = np.random.default_rng(seed).integers(-3, 4, (2, 5, 6, 6, 3)).cumsum(axis=3)
    train, heldout = (128 + steps + 3 * steps[..., :1]).astype(np.uint8)
    found = trivial_models_bits(train, heldout[:2])
    assert found.pop("uniform") == 8.0
    assert len(found) == 3
    for name, bits in found.items():
        assert bits == pytest.approx(slow_bits(train, heldout[:2], name), abs=1e-9)


def test_the_reference_is_of_the_pictures_that_are_evaluated() -> None:
    task = picture_task(4, 6)
    for length, side in ((768, 16), (12288, 64)):
        train, test = (
            averaged(p.take(np.arange(len(p))), 64 // side) for p in (task.train, task.test)
        )
        assert task.heldout_reference(length, 2 * length + 7) == trivial_models_bits(
            train, test[:2]
        )
        assert task.heldout_reference(length, 10**9) == trivial_models_bits(train, test)
