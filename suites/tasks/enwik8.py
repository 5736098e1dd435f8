"""The task `enwik8` is the paper's text, 100,000,000 bytes of an English Wikipedia dump of 2006.

It is split by position as in the paper: 89,621,832 / 5,000,000 / 5,000,000 bytes; the last 378,168
bytes are not used. Nothing is fetched unless asked for, and no other text is used in its place.
"""

import os
import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np

from suites.tasks.files import cache_folder, expanded, sha256, write_atomically
from suites.tasks.text import TextTask

FILE_NAMES = ("enwik8", "enwik8.zip")
DOWNLOAD_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form says what the file must be; tests build smaller ones."""

    size: int = 100_000_000
    sha256: str = "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8"
    train: int = 89_621_832
    valid: int = 5_000_000
    test: int = 5_000_000
    url: str = "http://mattmahoney.net/dc/enwik8.zip"

    def refusal(self, problem: str) -> ValueError:
        """Return the error of a missing or damaged file: what was expected, and what to do."""
        return ValueError(
            f"{problem}; expected enwik8 of {self.size:,} bytes with sha256 {self.sha256[:12]}..., "
            "or enwik8.zip holding it, given by --data enwik8=PATH or REFORMER_DATA, or fetched "
            f"from {self.url} with --download; the embedded task 'enwiki-head' needs no file"
        )


def load_enwik8(
    path: str | None = None, download: bool = False, form: Form | None = None
) -> TextTask:
    """Load enwik8 from `path`, else REFORMER_DATA, else the user's cache.

    Each names the file, or a folder with it. With `download` a missing file is fetched into that
    folder. Raises ValueError if it is missing or damaged.
    """
    form = form or Form()
    place = expanded(path or os.environ.get("REFORMER_DATA") or str(cache_folder()))
    file = find_file(place)
    if file is None and download and place.name not in FILE_NAMES:
        file = place / "enwik8"
        fetch(file, form)
    if file is None:
        raise form.refusal(f"no enwik8 at {place}")
    return TextTask(
        name="enwik8",
        data=np.frombuffer(read_checked(file, form), dtype=np.uint8),
        splits={"train": form.train, "valid": form.valid, "test": form.test},
        sha256=form.sha256,
        stand_in=False,
        source=form.url,
    )


def find_file(place: Path) -> Path | None:
    """Return `place` itself if it is a file, else the first of FILE_NAMES in it, or None."""
    candidates = [place, *(place / name for name in FILE_NAMES)]
    return next((file for file in candidates if file.is_file()), None)


def read_checked(file: Path, form: Form, origin: str = "") -> bytes:
    """Read the text in a file or zip. Raises ValueError unless size and checksum are right.

    `origin` is what errors call the file, by default its path.
    """
    origin = origin or str(file)
    try:
        content = unzip(file, form) if zipfile.is_zipfile(file) else file.read_bytes()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise form.refusal(f"{origin} is a damaged zip file ({error})") from error
    except OSError as error:
        raise form.refusal(f"cannot read {origin} ({error.strerror})") from error
    if len(content) != form.size:
        raise form.refusal(f"{origin} holds {len(content):,} bytes")
    if sha256(content) != form.sha256:
        raise form.refusal(f"{origin} is damaged: its sha256 is {sha256(content)[:12]}...")
    return content


def unzip(file: Path, form: Form) -> bytes:
    """Read the member `enwik8`, wherever it lies in the zip file.

    Raises BadZipFile if there is none.
    """
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if Path(member.filename).name == "enwik8":
                # one byte more than legal shows that it is too long without unpacking it all
                with archive.open(member) as text:
                    return text.read(form.size + 1)
    raise zipfile.BadZipFile("it holds no member enwik8")


def fetch(file: Path, form: Form) -> None:
    """Fetch the zip, check it and write the text to `file`.

    Raises ValueError, with nothing written, if it cannot be fetched or is damaged.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            zipped = Path(folder) / "enwik8.zip"
            with urlopen(form.url, timeout=DOWNLOAD_TIMEOUT_S) as answer, zipped.open("wb") as out:
                shutil.copyfileobj(answer, out)
            content = read_checked(zipped, form, origin=form.url)
        write_atomically(file, content)
    except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection
        raise form.refusal(f"could not fetch {form.url} to {file} ({error})") from error
