"""The user's cache folder, and writing into it while other processes do the same."""

import hashlib
import os
from pathlib import Path
from uuid import uuid4


def cache_folder() -> Path:
    """This program's folder in the user's cache (XDG base directories); it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "reformer-bench"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file or none, also when processes race. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256(content: bytes) -> str:
    """The SHA-256 checksum, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
