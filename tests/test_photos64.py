"""The embedded photos are cropped, cached, and reported when missing; no scene is in both parts."""

import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from suites.tasks import files, load_task, photos64
from suites.tasks.files import cache_folder, sha256
from suites.tasks.pictures import PictureTask


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def photos() -> PictureTask:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", "/nonexistent")
        return photos64.load_photos64()


def test_photos64_says_what_it_is(photos: PictureTask) -> None:
    facts = photos.describe()
    assert facts["stand_in"] is True
    assert facts["pictures"] == {"train": 3000, "valid": 0, "test": 128}
    assert facts["splits"] == {"train": 3000 * 12288, "valid": 0, "test": 128 * 12288}
    assert facts["bytes"] == 3128 * 12288
    assert facts["scenes"] == {"train": 7, "test": 1}
    assert "8 scenes" in facts["source"]
    pixels = (
        photos.train.take(np.arange(3000)).tobytes() + photos.test.take(np.arange(128)).tobytes()
    )
    assert facts["sha256"] == sha256(pixels)


def test_no_scene_is_in_both_parts() -> None:
    scenes = {part: {p.scene for p in photos64.photos_of(part)} for part in ("train", "test")}
    assert not scenes["train"] & scenes["test"]
    assert [photo.file for photo in photos64.photos_of("test")] == ["skimage/data/chelsea.png"]
    assert {photo.part for photo in photos64.PHOTOS} == {"train", "test"}


def find_crop(crop: np.ndarray, photo: np.ndarray) -> int | None:
    """Return at which scale a crop lies in a photo; None if it is not in it."""
    for scale in photos64.SCALES:
        rows, columns = (n // scale for n in photo.shape[:2])
        whole = photo[: rows * scale, : columns * scale].astype(int)
        means = whole.reshape(rows, scale, columns, scale, 3).mean(axis=(1, 3))
        # its first row, then all of it where that fits
        windows = sliding_window_view(means[: rows - 63], 64, axis=1)
        fits = (np.abs(windows - crop[0].T) <= 0.5).all(axis=(2, 3))
        for row, column in zip(*fits.nonzero(), strict=True):
            if (np.abs(means[row : row + 64, column : column + 64] - crop) <= 0.5).all():
                return scale
    return None


@pytest.mark.parametrize(("index", "part"), [(0, "train"), (2, "train"), (7, "train"), (0, "test")])
def test_crops_are_of_their_photo_at_several_scales(
    index: int, part: str, photos: PictureTask
) -> None:
    photo = photos64.photos_of(part)[index]
    package, _, path = photo.file.partition("/")
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    whole = np.asarray(Image.open(Path(spec.origin).parent / path).convert("RGB"))
    n = photos64.N_CROPS[part]
    crops = (photos.train if part == "train" else photos.test).take(index * n + np.arange(20))
    assert {find_crop(crop, whole) for crop in crops} == {1, 2, 4}


def test_crops_are_all_over_a_photo() -> None:
    rows, columns = np.indices((256, 512))
    photo = np.stack([rows // 4, columns // 4, rows % 4 + 4 * (columns % 4)], axis=-1)
    crops = np.frombuffer(photos64.cut_crops(photo.astype(np.uint8), 400, 0), np.uint8)
    corner = crops.reshape(400, 64, 64, 3)[:, 0, 0].astype(int)
    assert len({tuple(row) for row in corner}) > 250
    assert corner[:, 0].min() < 4 and corner[:, 0].max() > 44
    assert corner[:, 1].min() < 4 and corner[:, 1].max() > 108


def test_trivial_models_are_ordered(photos: PictureTask) -> None:
    bits = list(photos.heldout_reference(768, 10**9).values())
    assert bits[0] == 8.0
    assert bits[1] > bits[2] > bits[3]


def test_damaged_cache_is_repaired_and_used() -> None:
    crops = photos64.read_crops()
    (cached,) = cache_folder().iterdir()
    content = cached.read_bytes()
    for damaged in (content[:-1] + bytes([content[-1] ^ 1]), content[:-1], b"", b"\xff" * 70):
        cached.write_bytes(damaged)
        assert photos64.read_crops() == crops
        assert cached.read_bytes() == content


def test_cache_saves_cutting(monkeypatch: pytest.MonkeyPatch) -> None:
    crops = photos64.read_crops()
    monkeypatch.setattr(photos64, "read_photo", lambda photo: pytest.fail("cut again"))
    assert photos64.read_crops() == crops


def test_another_decoder_has_its_own_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    before = photos64.recipe()
    monkeypatch.setattr(photos64.importlib.metadata, "version", lambda name: "1.0")
    assert photos64.recipe() != before


def test_unwritable_cache_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(photos64.read_crops()) == 3128 * 12288


@pytest.mark.parametrize(
    ("package", "install"), [("skimage", "scikit-image"), ("matplotlib", "matplotlib")]
)
def test_package_or_photo_missing_or_damaged_says_what_to_install(
    package: str, install: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec: ModuleSpec | None = None
    monkeypatch.setattr(
        files, "find_spec", lambda name: spec if name == package else find_spec(name)
    )
    with pytest.raises(ValueError, match=rf"needs the package {install}, .*pip install") as error:
        load_task("photos64")
    spec = ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    with pytest.raises(ValueError, match=rf"cannot read {tmp_path}.*No such file.*pip install"):
        load_task("photos64")
    photo = next(photo for photo in photos64.PHOTOS if photo.file.startswith(package))
    file = tmp_path / photo.file.partition("/")[2]
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\x89PNG not the photo")
    with pytest.raises(ValueError, match=rf"{file.name} is damaged.*{install}.*pip install"):
        load_task("photos64")
    assert "\n" not in str(error.value)


def test_loading_does_not_import_the_packages() -> None:
    code = (
        "import sys; from suites.tasks import load_task; load_task('photos64');"
        "sys.exit(bool({'skimage', 'matplotlib'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
