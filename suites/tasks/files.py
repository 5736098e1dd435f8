"""These functions find the user's cache folder and write files into it whole.

Other processes may write the same files at the same time.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from uuid import uuid4


def cache_folder() -> Path:
    """Return this program's folder in the user's cache, which need not exist.

    It follows the XDG base directories, by which a relative path counts as none; a user without a
    home has one among the temporary files.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    if base.is_absolute():
        return base / "reformer-bench"
    try:
        return Path.home() / ".cache" / "reformer-bench"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"reformer-bench-{os.getuid()}"


def expanded(path: str) -> Path:
    """Return a path with the home folder in place of ~; as it is where there is no such home."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (pathlib's raises RuntimeError)


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
    """Return the SHA-256 checksum in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
