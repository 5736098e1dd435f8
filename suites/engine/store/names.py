"""Names read from files become names of files: only plain ones may. No torch."""

import os
from pathlib import Path

MAX_NAME = 100
MAX_PART = 255  # bytes between two slashes, on the file systems of Linux


def misfit_of_name(name: object, where: str) -> str:
    """Say why this cannot be the name of a file in the run's folder; "" if it can."""
    if not isinstance(name, str):
        return f"{where} is no text"
    # when the name is typed again a leading - would be an option, a leading ~ somebody's home, and
    # what ends in .json a file of pytest-benchmark's
    plain = name.isprintable() and name == name.strip() and not name.endswith(".json")
    plain = plain and name[:1] not in ("", ".", "-", "~")
    if plain and len(name.encode()) <= MAX_NAME and not {"/", "\\"} & {*name}:
        return ""
    shown = name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}..."
    return f"{where} {shown!r} is not a plain name of a file"


def plain_name(name: str, what: str) -> str:
    """Return a name that may be one of a file. Raises ValueError if it may not."""
    problem = misfit_of_name(name, what)
    if problem:
        raise ValueError(f"{problem}; use letters and digits")
    return name


def expanded(path: str) -> Path:
    """Return a path with the home folder in place of ~; as it is where there is no such home.

    Raises ValueError if it is too long for any file.
    """
    if max(len(part) for part in os.fsencode(path).split(b"/")) > MAX_PART:
        raise ValueError(
            f"{path[:MAX_NAME]}... is too long for the name of a file, which has at most "
            f"{MAX_PART} bytes; give a run's name or a path"
        )
    return Path(os.path.expanduser(path))  # noqa: PTH111 (pathlib's raises RuntimeError)
