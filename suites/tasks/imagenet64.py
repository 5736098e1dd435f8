"""The task `imagenet64` is the paper's pictures, 64 x 64 RGB, from the user's own files.

They are the official downsampled ImageNet (Chrabaszcz et al. 2017), or any folder of pictures.
Nothing is fetched, and no other pictures are used in their place.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from suites.tasks.files import expanded, sha256, split_sizes
from suites.tasks.imagenet64_npz import TRAIN_NAMES, VAL_NAME, load_npz
from suites.tasks.pictures import SIDE, Bytes, PictureTask

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm")
# What Pillow raises on a damaged picture, besides OSError.
DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def load_imagenet64(path: str | None = None) -> PictureTask:
    """Load the pictures in the folder `path`, else REFORMER_DATA.

    Raises ValueError, in one sentence, if they are missing, damaged, or not of this form.
    """
    given = path or os.environ.get("REFORMER_DATA")
    if not given:
        raise refusal("task 'imagenet64' needs a folder")
    folder = expanded(given)
    if not folder.is_dir():
        raise refusal(f"{folder} is no folder" if folder.exists() else f"no folder {folder}")
    arrays = sorted(folder.glob("*.npz"))
    pictures = [file for file in folder.rglob("*") if is_picture(file)]
    if arrays and pictures:
        raise refusal(
            f"{folder} has both npz files ({arrays[0].name}) and pictures ({pictures[0].name})"
        )
    try:
        if arrays:
            return load_npz(folder)
        return load_pictures(folder, sorted(pictures, key=lambda f: f.relative_to(folder).parts))
    except ValueError as error:
        raise refusal(str(error)) from error


def refusal(problem: str) -> ValueError:
    """Return the error of missing or damaged data: what was expected, and what to do."""
    return ValueError(
        f"{problem}; expected a folder with the downsampled ImageNet's {TRAIN_NAMES} and "
        f"{VAL_NAME}, or a folder of pictures, given by --data imagenet64=FOLDER or REFORMER_DATA; "
        "the embedded task 'photos64' needs no file"
    )


def is_picture(file: Path) -> bool:
    """Return whether this is a file with a picture's suffix, not hidden."""
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def load_pictures(folder: Path, files: Sequence[Path]) -> PictureTask:
    """Make the task of picture files, split 90 / 5 / 5 % in their order.

    Each is opened here, but read only when it is drawn. Raises ValueError if one is no picture, or
    smaller than 64 x 64, or if they are fewer than two.
    """
    if len(files) < 2:
        found = f"only the picture {files[0].name}" if files else "no pictures and no npz files"
        raise ValueError(f"{folder} has {found}")
    for file in files:
        require_large_enough(file)
    splits = split_sizes(len(files))
    listing = "\n".join(f"{file.relative_to(folder)} {file.stat().st_size}" for file in files)
    return PictureTask(
        name="imagenet64",
        train=PictureFiles(files[: splits["train"]]),
        test=PictureFiles(files[-splits["test"] :]),
        n_valid=splits["valid"],
        stand_in=False,
        source=f"the middle of {len(files):,} pictures in the folder {folder.name}",
        identity={"version": sha256(listing.encode())[:12]},  # of names and sizes
    )


def require_large_enough(file: Path) -> None:
    """Raise ValueError unless the file begins as a picture of at least 64 x 64."""
    try:
        with Image.open(file) as image:
            width, height = image.size
    except DAMAGED as error:
        raise ValueError(f"{file} is no picture, or damaged ({error})") from error
    if min(width, height) < SIDE:
        raise ValueError(
            f"{file} has {width} x {height} pixels; at least {SIDE} x {SIDE} are needed"
        )


@dataclass(frozen=True, slots=True, eq=False)
class PictureFiles:
    """Picture files are read when they are drawn: any number of them takes no memory."""

    files: Sequence[Path]

    def __len__(self) -> int:
        return len(self.files)

    def take(self, indices: NDArray[np.int64]) -> Bytes:
        """Return those pictures (Pictures.take)."""
        return np.stack([read_picture(self.files[i]) for i in indices])


def read_picture(file: Path) -> Bytes:
    """Read the middle square of a picture, averaged to (64, 64, 3).

    One of 64 x 64 stays as it is. Raises ValueError if it is damaged.
    """
    try:
        with Image.open(file) as image:
            square = ImageOps.fit(image.convert("RGB"), (SIDE, SIDE), Image.Resampling.BOX)
    except DAMAGED as error:
        raise ValueError(f"the picture {file} is damaged ({error})") from error
    return np.asarray(square)
