"""The user's archives of pictures are found, or refused with a sentence, but never replaced."""

import re
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import assert_refused, draw_files

from suites.tasks import imagenet64_npz, load_task
from suites.tasks.pictures import Pictures

SAVES = {"stored": np.savez, "compressed": np.savez_compressed}


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REFORMER_DATA", raising=False)


def rows(n: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, 12288)).astype(np.uint8)


def save(
    file: Path, data: Any, how: Callable[..., None] = np.savez, **others: Any
) -> NDArray[np.uint8]:
    """Save rows as the official files do: `data`, `labels`, and `mean` in the training ones."""
    others = {"labels": np.arange(len(data)), "mean": np.zeros(12288), **others}
    how(file, data=data, **others)
    return data


def save_all(folder: Path, how: Callable[..., None] = np.savez) -> dict[str, NDArray[np.uint8]]:
    """Save training batches 1, 2 and 10, and val; returns their rows."""
    folder.mkdir(exist_ok=True)
    names = {"train_data_batch_1": 3, "train_data_batch_2": 4, "train_data_batch_10": 2}
    names["val_data"] = 5
    return {
        name: save(folder / f"{name}.npz", rows(n, seed), how)
        for seed, (name, n) in enumerate(names.items())
    }


def as_rows(pictures: Pictures, indices: Any) -> NDArray[np.uint8]:
    """Take pictures and lay them out as the official rows: channels first."""
    taken = pictures.take(np.asarray(indices))
    assert taken.shape[1:] == (64, 64, 3)
    return np.moveaxis(taken, 3, 1).reshape(len(taken), -1)


@pytest.mark.parametrize("how", SAVES)
@pytest.mark.parametrize("given", ["path", "variable"])
def test_the_official_files_are_read(
    how: str, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = save_all(tmp_path / "data", SAVES[how])
    if given == "variable":
        monkeypatch.setenv("REFORMER_DATA", str(tmp_path / "data"))
    task = load_task("imagenet64", str(tmp_path / "data") if given == "path" else None)
    train = np.concatenate([saved[f"train_data_batch_{i}"] for i in (1, 2, 10)])
    assert np.array_equal(as_rows(task.train, range(9)), train)
    assert np.array_equal(as_rows(task.train, [8, 0, 5, 5]), train[[8, 0, 5, 5]])
    assert np.array_equal(as_rows(task.test, range(5)), saved["val_data"])
    ((_, targets),) = task.heldout_batches(12288, 8, 10**9)
    red = saved["val_data"][:, : 64 * 64]
    assert np.array_equal(targets.numpy()[:, ::3], red)
    facts = task.describe()
    assert facts["name"] == "imagenet64"
    assert facts["stand_in"] is False
    assert facts["splits"] == {"train": 9 * 12288, "valid": 0, "test": 5 * 12288}
    assert re.fullmatch("[0-9a-f]{12}", facts["version"])
    assert "compressed" not in facts["source"]


def test_the_version_is_of_the_content(tmp_path: Path) -> None:
    def version() -> str:
        return str(load_task("imagenet64", str(tmp_path)).describe()["version"])

    save_all(tmp_path)
    before = version()
    assert version() == before
    save_all(tmp_path, np.savez_compressed)
    assert version() == before
    changed = rows(5, 3)
    changed[4, 17] ^= 1
    save(tmp_path / "val_data.npz", changed)
    assert version() != before


def test_uncompressed_files_take_no_memory(tmp_path: Path) -> None:
    save(tmp_path / "train_data_batch_1.npz", rows(2000, 0))
    val = save(tmp_path / "val_data.npz", rows(2000, 1))
    tracemalloc.start()
    task = load_task("imagenet64", str(tmp_path))
    next(task.train_batches(12288, 1, 0))
    found = as_rows(task.test, [1999])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.array_equal(found, val[[1999]])
    assert peak < 2_000_000  # the files have 24 MB each


def test_of_large_compressed_files_the_first_rows_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet64_npz, "KEPT_TRAIN_BYTES", 6 * 12288)
    monkeypatch.setattr(imagenet64_npz, "KEPT_VAL_BYTES", 4 * 12288)
    saved = save_all(tmp_path, np.savez_compressed)
    task = load_task("imagenet64", str(tmp_path))
    kept = np.concatenate([saved[f"train_data_batch_{i}"][:2] for i in (1, 2, 10)])
    assert np.array_equal(as_rows(task.train, range(6)), kept)
    assert len(task.train) == 6
    assert np.array_equal(as_rows(task.test, range(4)), saved["val_data"][:4])
    assert len(task.test) == 4
    assert "compressed: 6 of 9 pictures" in task.describe()["source"]
    assert task.describe()["splits"]["train"] == 6 * 12288


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def garbage(file: Path) -> None:
    file.write_bytes(b"PK\x03\x04 no archive")


def empty(file: Path) -> None:
    file.write_bytes(b"")


def damaged_header(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.npy", b"\x93NUMPY?" + bytes(200))


def damaged_stream(file: Path) -> None:
    save(file, rows(40, 0), np.savez_compressed)
    content = bytearray(file.read_bytes())
    content[3000:3400] = bytes(400)
    file.write_bytes(content)


def short_array(file: Path) -> None:
    save(file, rows(3, 0))
    with zipfile.ZipFile(file) as archive:
        content = archive.read("data.npy")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.npy", content[:-1])


def other_key(file: Path) -> None:
    np.savez(file, pictures=rows(2, 0))


def smaller_pictures(file: Path) -> None:
    save(file, rows(4, 0)[:, :3072])


def floats(file: Path) -> None:
    save(file, rows(2, 0) / 255)


def four_axes(file: Path) -> None:
    save(file, rows(2, 0).reshape(2, 3, 64, 64))


def objects(file: Path) -> None:
    np.savez(file, data=np.array([[1, "a"]], dtype=object))


def by_columns(file: Path) -> None:
    save(file, np.asfortranarray(rows(2, 0)))


def no_rows(file: Path) -> None:
    save(file, rows(0, 0))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (truncated, "is damaged"),
        (garbage, "is damaged"),
        (empty, "is damaged"),
        (damaged_header, "is damaged: its array 'data' has no header"),
        (damaged_stream, "is damaged"),
        (short_array, "is damaged: its array 'data' is not as long as its header says"),
        (other_key, "has no array 'data'"),
        (smaller_pictures, r"shape \(4, 3072\) and type uint8, not rows of 12,288 uint8"),
        (floats, "type float64, not rows"),
        (four_axes, r"shape \(2, 3, 64, 64\)"),
        (objects, "type object"),
        (by_columns, "not rows"),
        (no_rows, "has no pictures"),
    ],
)
@pytest.mark.parametrize("name", ["train_data_batch_2.npz", "val_data.npz"])
def test_damaged_or_other_arrays_are_one_sentence(
    damage: Callable[[Path], None], problem: str, name: str, tmp_path: Path
) -> None:
    save_all(tmp_path)
    damage(tmp_path / name)
    assert_refused(tmp_path, f"{re.escape(str(tmp_path / name))} .*{problem}|{name} {problem}")


def test_missing_data_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_refused(None, "task 'imagenet64' needs a folder")
    assert_refused(tmp_path / "nowhere", f"no folder {tmp_path / 'nowhere'}")
    assert_refused(tmp_path, f"{tmp_path} has no pictures and no npz files")
    monkeypatch.setenv("REFORMER_DATA", str(tmp_path / "else"))
    assert_refused(None, f"no folder {tmp_path / 'else'}")
    save(tmp_path / "val_data.npz", rows(2, 0))
    assert_refused(tmp_path / "val_data.npz", "val_data.npz is no folder")
    assert_refused(tmp_path, r"has no train_data_batch_\*.npz")
    (tmp_path / "val_data.npz").rename(tmp_path / "train_data_batch_1.npz")
    assert_refused(tmp_path, "has no val_data.npz")
    draw_files(tmp_path, 3)
    assert_refused(tmp_path, r"has both npz files \(train_data_batch_1.npz\) and pictures \(00")
