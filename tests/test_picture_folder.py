"""A folder of the user's pictures is split in their order; damaged ones are refused by name."""

from pathlib import Path

import numpy as np
import pytest
from picture_files import assert_refused, draw_files
from PIL import Image

from suites.tasks import load_task
from suites.tasks.imagenet64 import PictureFiles


@pytest.mark.parametrize(("n", "parts"), [(2, (1, 0, 1)), (20, (18, 1, 1)), (41, (36, 2, 3))])
def test_a_folder_of_pictures_is_split_in_its_order(
    n: int, parts: tuple[int, int, int], tmp_path: Path
) -> None:
    pictures = draw_files(tmp_path, n)
    (tmp_path / "labels.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_text("no picture")
    task = load_task("imagenet64", str(tmp_path))
    n_train, n_valid, n_test = parts
    assert task.describe()["pictures"] == {"train": n_train, "valid": n_valid, "test": n_test}
    assert np.array_equal(task.train.take(np.arange(n_train)), pictures[:n_train])
    assert np.array_equal(task.test.take(np.arange(n_test)), pictures[n_train + n_valid :])
    assert (tmp_path.name in task.describe()["source"]) and f"{n} pictures" in task.describe()[
        "source"
    ]


def test_the_version_of_a_folder_is_of_names_and_sizes(tmp_path: Path) -> None:
    draw_files(tmp_path, 4)
    before = load_task("imagenet64", str(tmp_path)).describe()["version"]
    assert load_task("imagenet64", str(tmp_path)).describe()["version"] == before
    (tmp_path / "0" / "000.png").rename(tmp_path / "0" / "zzz.png")
    assert load_task("imagenet64", str(tmp_path)).describe()["version"] != before


def test_larger_pictures_give_their_middle_averaged(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (128, 200, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "wide.png")
    Image.fromarray(picture[..., 0]).save(tmp_path / "grey.bmp")
    (wide, grey) = (
        PictureFiles([tmp_path / name]).take(np.array([0]))[0] for name in ("wide.png", "grey.bmp")
    )
    means = picture[:, 36:164].astype(float).reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(wide - means).max() <= 1.0  # Pillow rounds rows, then columns
    assert (grey == grey[..., :1]).all()
    assert np.abs(grey[..., 0] - means[..., 0]).max() <= 1.0


def test_pictures_that_are_none_or_too_small_are_refused_at_once(tmp_path: Path) -> None:
    draw_files(tmp_path, 3)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    assert_refused(tmp_path, f"{bad} is no picture, or damaged")
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    assert_refused(tmp_path, f"{bad} is no picture, or damaged")
    Image.new("RGB", (63, 80)).save(bad)
    assert_refused(tmp_path, f"{bad} has 63 x 80 pixels; at least 64 x 64")
    bad.unlink()
    for file in tmp_path.rglob("00[12].png"):
        file.unlink()
    assert_refused(tmp_path, "only the picture 000.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_truncated_picture_is_refused_when_drawn(suffix: str, tmp_path: Path) -> None:
    draw_files(tmp_path, 2, suffix)
    file = tmp_path / "0" / f"001{suffix}"
    file.write_bytes(file.read_bytes()[:-900])
    task = load_task("imagenet64", str(tmp_path))
    with pytest.raises(ValueError, match=f"the picture {file} is damaged"):
        next(iter(task.heldout_batches(12288, 1, 1)))
