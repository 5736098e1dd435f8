"""The task `photos64`, a stand-in for imagenet64, is crops of the photos that two packages bring.

They come with scikit-image and matplotlib, mostly CC0 or public domain. There are seven scenes to
train on and one, a cat, to test on: its bits per dim do not compare with published values for
imagenet64.
"""

import importlib.metadata
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from suites.tasks.files import cache_folder, read_of_package, sha256, write_atomically
from suites.tasks.pictures import (
    PICTURE_BYTES,
    SIDE,
    Bytes,
    PicturesInMemory,
    PictureTask,
    averaged,
)

VERSION = 1  # of the crops: raised when the same photos give other ones
N_CROPS = {"train": 375, "test": 128}  # of each photo of that part
SCALES = (1, 2, 4)  # a crop shows a square of 64, 128 or 256 pixels of its photo
INSTALL = "install it with: pip install --force-reinstall 'scikit-image>=0.22,<1' 'matplotlib<4'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo is a file of a package: its scene, its checksum, and the part its crops are in."""

    file: str  # "package/path in it"
    scene: str
    sha256: str
    part: str = "train"


PHOTOS = (
    Photo(
        file="skimage/data/astronaut.png",
        scene="astronaut",
        sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    ),
    Photo(
        file="skimage/data/coffee.png",
        scene="coffee",
        sha256="cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    ),
    Photo(
        file="skimage/data/rocket.jpg",
        scene="rocket",
        sha256="c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    ),
    Photo(
        file="skimage/data/hubble_deep_field.jpg",
        scene="galaxies",
        sha256="3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    ),
    Photo(
        file="skimage/data/retina.jpg",
        scene="retina",
        sha256="38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    ),
    Photo(
        file="skimage/data/motorcycle_left.png",
        scene="motorcycle",
        sha256="db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    ),
    Photo(
        file="skimage/data/motorcycle_right.png",
        scene="motorcycle",
        sha256="5fc913ae870e42a4b662314bc904d1786bcad8e2f0b9b67dba5a229406357797",
    ),
    Photo(
        file="matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        scene="officer",
        sha256="a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
    ),
    Photo(
        file="skimage/data/chelsea.png",
        scene="cat",
        sha256="596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        part="test",
    ),
)


def load_photos64() -> PictureTask:
    """Load the embedded crops: none of the scene to test on is among those to train on.

    Raises ValueError if a package or a photo is missing or damaged.
    """
    pixels = read_crops()
    crops = np.frombuffer(pixels, dtype=np.uint8).reshape(-1, SIDE, SIDE, 3)
    n_train = N_CROPS["train"] * len(photos_of("train"))
    scenes = {part: len({photo.scene for photo in photos_of(part)}) for part in N_CROPS}
    return PictureTask(
        name="photos64",
        train=PicturesInMemory(crops[:n_train]),
        test=PicturesInMemory(crops[n_train:]),
        stand_in=True,
        source=f"crops of {len(PHOTOS)} photos of {sum(scenes.values())} scenes, which come with "
        "scikit-image and matplotlib",
        identity={"sha256": sha256(pixels), "scenes": scenes},
    )


def photos_of(part: str) -> list[Photo]:
    """Return the photos of a part, "train" or "test"."""
    return [photo for photo in PHOTOS if photo.part == part]


def read_crops() -> bytes:
    """Read all crops, those to train on first, and keep them in the user's cache.

    What the photos look like is up to the decoder, so a cached file begins with the checksum of
    what follows. Raises ValueError if a package or a photo is missing or damaged.
    """
    n_bytes = PICTURE_BYTES * sum(N_CROPS[photo.part] for photo in PHOTOS)
    cached = cache_folder() / f"photos64-{recipe()}.rgb"
    with suppress(OSError):
        # a pipe in its place would be read for ever
        content = cached.read_bytes() if cached.is_file() else b""
        checksum, pixels = content[:64], content[64:]
        if len(pixels) == n_bytes and sha256(pixels).encode() == checksum:
            return pixels
    pixels = b"".join(
        cut_crops(read_photo(photo), N_CROPS[part], seed)
        for part in N_CROPS
        for seed, photo in enumerate(photos_of(part))
    )
    with suppress(OSError):  # without a cache it is only slower
        write_atomically(cached, sha256(pixels).encode() + pixels)
    return pixels


def recipe() -> str:
    """Return a checksum of what the crops are made of and with: 12 hexadecimal digits."""
    made = [str(VERSION), importlib.metadata.version("pillow"), np.__version__]
    return sha256(" ".join([*made, *(photo.sha256 for photo in PHOTOS)]).encode())[:12]


def read_photo(photo: Photo) -> Bytes:
    """Read a photo, (rows, columns, 3), checked, without importing its package.

    Raises ValueError if the package or the file is missing or damaged.
    """
    package, _, path = photo.file.partition("/")
    content = read_of_package("photos64", package, path, photo.sha256, INSTALL)
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def cut_crops(photo: Bytes, n: int, seed: int) -> bytes:
    """Cut n crops at random places and scales of a photo (rows, columns, 3), one after another."""
    generator = np.random.default_rng([VERSION, seed])
    scaled = [averaged(photo, scale) for scale in SCALES]
    crops = []
    for choice in generator.integers(len(SCALES), size=n):
        whole = scaled[choice]
        row, column = (generator.integers(whole.shape[axis] - SIDE + 1) for axis in (0, 1))
        crops.append(whole[row : row + SIDE, column : column + SIDE].tobytes())
    return b"".join(crops)
