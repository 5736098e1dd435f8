"""The files of the official downsampled ImageNet are npz archives: rows of 64 x 64 RGB pictures.

A row has 12,288 bytes, channels first: all of red, all of green, all of blue. An archive that is
not compressed is read row by row, as pictures are drawn, so that the 16 GB of ImageNet take no
memory (nor address space, which jobs have little of, as a mapping of the file would). Within a
compressed one no row can be found without unpacking all before it: of those only the first rows are
unpacked and kept, KEPT_TRAIN_BYTES of all training files together, and the record says how many.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from suites.tasks.files import sha256
from suites.tasks.pictures import (
    PICTURE_BYTES,
    SIDE,
    Bytes,
    Pictures,
    PicturesInMemory,
    PictureTask,
)

TRAIN_NAMES = "train_data_batch_*.npz"
VAL_NAME = "val_data.npz"
MEMBER = "data.npy"
KEPT_TRAIN_BYTES, KEPT_VAL_BYTES = 2**30, 2**27
LOCAL_HEADER_BYTES = 30  # of a zip member, before its name and extra field
DAMAGED = (OSError, zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError)


def load_npz(folder: Path) -> PictureTask:
    """Make the task of the archives in a folder: train_data_batch_*.npz, tested on val_data.npz.

    Raises ValueError if some are missing, damaged or of another form.
    """
    files = sorted(folder.glob(TRAIN_NAMES), key=number_of)
    val = folder / VAL_NAME
    if not files:
        raise ValueError(f"{folder} has no {TRAIN_NAMES}")
    if not val.is_file():
        raise ValueError(f"{folder} has no {VAL_NAME}")
    train = [open_archive(file, KEPT_TRAIN_BYTES // len(files)) for file in files]
    test = open_archive(val, KEPT_VAL_BYTES)
    kept = sum(len(one.pictures) for one in train), sum(one.n_rows for one in train)
    return PictureTask(
        name="imagenet64",
        train=Joined([one.pictures for one in train]),
        test=test.pictures,
        stand_in=False,
        source=f"downsampled ImageNet, {len(files)} training files"
        + (f" (compressed: {kept[0]:,} of {kept[1]:,} pictures)" if kept[0] < kept[1] else ""),
        identity={"version": sha256(listing([*train, test]).encode())[:12]},
    )


def number_of(file: Path) -> tuple[int, str]:
    """Return the number in a file's name, so that batch 10 comes after batch 9, and the name."""
    digits = re.findall(r"\d+", file.stem)
    return (int(digits[-1]) if digits else 0, file.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive is an npz file with pictures. checksum: zip's own, of all of them."""

    file: Path
    n_rows: int
    checksum: int
    pictures: Pictures


def listing(archives: Sequence[Archive]) -> str:
    """List archives by name, rows and checksum."""
    return "\n".join(f"{one.file.name} {one.n_rows} {one.checksum:08x}" for one in archives)


def open_archive(file: Path, kept_bytes: int) -> Archive:
    """Open an npz file; of a compressed one so many bytes of pictures are unpacked at most.

    Raises ValueError if it is damaged or of another form.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if MEMBER not in archive.namelist():
                raise ValueError(f"{file} has no array 'data'")
            info = archive.getinfo(MEMBER)
            with archive.open(info) as member:
                n_rows = read_n_rows(member, info, file)
                if info.compress_type == zipfile.ZIP_STORED:
                    pictures: Pictures = RowsOnDisk(file, data_start(file, info, member), n_rows)
                else:
                    n_kept = min(n_rows, max(1, kept_bytes // PICTURE_BYTES))
                    pictures = PicturesInMemory(as_pictures(member.read(n_kept * PICTURE_BYTES)))
    except DAMAGED as error:
        raise ValueError(f"{file} is damaged ({error})") from error
    return Archive(file=file, n_rows=n_rows, checksum=info.CRC, pictures=pictures)


def read_n_rows(member: IO[bytes], info: zipfile.ZipInfo, file: Path) -> int:
    """Read an array's header up to its data, and return how many pictures it has.

    Raises ValueError unless it holds rows of 12,288 bytes, at least one.
    """
    form = np.lib.format
    try:
        read = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
        shape, by_columns, dtype = read[form.read_magic(member)](member)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{file} is damaged: its array 'data' has no header ({error})") from error
    if dtype != np.uint8 or by_columns or len(shape) != 2 or shape[1] != PICTURE_BYTES:
        raise ValueError(
            f"{file} has an array 'data' of shape {shape} and type {dtype}, not rows of "
            f"{PICTURE_BYTES:,} uint8"
        )
    if not shape[0]:
        raise ValueError(f"{file} has no pictures")
    if info.file_size != member.tell() + shape[0] * PICTURE_BYTES:
        raise ValueError(f"{file} is damaged: its array 'data' is not as long as its header says")
    return int(shape[0])


def data_start(file: Path, info: zipfile.ZipInfo, member: IO[bytes]) -> int:
    """Return where in an archive the data of an uncompressed array begins, read up to there."""
    with file.open("rb") as archive:
        archive.seek(info.header_offset + LOCAL_HEADER_BYTES - 4)
        name, extra = struct.unpack("<HH", archive.read(4))
    return info.header_offset + LOCAL_HEADER_BYTES + int(name) + int(extra) + member.tell()


def as_pictures(rows: bytes) -> Bytes:
    """Turn rows, channels first, into pictures, (number, 64, 64, 3)."""
    pictures = np.frombuffer(rows, dtype=np.uint8).reshape(-1, 3, SIDE, SIDE)
    return pictures.transpose(0, 2, 3, 1)


@dataclass(frozen=True, slots=True, eq=False)
class RowsOnDisk:
    """Rows on disk are read one by one from a place in a file on, when they are drawn."""

    file: Path
    first: int
    n_rows: int

    def __len__(self) -> int:
        return self.n_rows

    def take(self, indices: NDArray[np.int64]) -> Bytes:
        """Return those pictures (Pictures.take)."""
        rows = []
        try:
            with self.file.open("rb") as file:
                for i in indices:
                    file.seek(self.first + int(i) * PICTURE_BYTES)
                    rows.append(file.read(PICTURE_BYTES))
        except OSError as error:
            raise ValueError(f"cannot read {self.file} ({error.strerror})") from error
        return as_pictures(b"".join(rows))


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Joined pictures are those of several parts, one after the other."""

    parts: Sequence[Pictures]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def take(self, indices: NDArray[np.int64]) -> Bytes:
        """Return those pictures (Pictures.take)."""
        ends = np.cumsum([len(part) for part in self.parts])
        which = np.searchsorted(ends, indices, side="right")
        starts = np.concatenate([[0], ends])[which]
        places = zip(which, indices - starts, strict=True)
        taken = [self.parts[part].take(np.array([i])) for part, i in places]
        return np.concatenate(taken)
