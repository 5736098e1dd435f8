"""These functions find the user's cache folder and write files into it whole.

Other processes may write the same files at the same time.
"""

import hashlib
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from reformer.checks import require

# Under another name are installed:
DISTRIBUTIONS = {"skimage": "scikit-image"}


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


def read_of_package(task: str, package: str, path: str, checksum: str, install: str) -> bytes:
    """Read a file of a package, checked, without importing the package, which may take seconds.

    install: how to. Raises ValueError if the package or the file is missing or damaged.
    """
    spec, name = find_spec(package), DISTRIBUTIONS.get(package, package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"task {task!r} needs the package {name}, which is not installed; {install}"
        )
    file = Path(spec.submodule_search_locations[0]) / path
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(
            f"task {task!r} cannot read {file}: {error.strerror}; {install}"
        ) from error
    require(
        sha256(content) == checksum,
        f"{file} is damaged or of another {name}: its sha256 is not {checksum}; {install}",
    )
    return content


def split_sizes(n: int) -> dict[str, int]:
    """Split so many things by position into 90 % to train on, 5 % to validate and 5 % to test."""
    n_train, n_known = n * 90 // 100, n * 95 // 100
    return {"train": n_train, "valid": n_known - n_train, "test": n - n_known}


def sha256(content: bytes) -> str:
    """Return the SHA-256 checksum in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
