"""Names read from files become names of files: only plain ones may. No torch."""

import os
from pathlib import Path

MAX_NAME = 100


def misfit_of_name(name: object, where: str) -> str:
    """Say why this cannot be the name of a file in the run's folder; "" if it can."""
    if not isinstance(name, str):
        return f"{where} is no text"
    # a leading - would be an option, and a leading ~ somebody's home, when the name is typed again
    plain = name.isprintable() and name == name.strip() and name[:1] not in ("", ".", "-", "~")
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
    """Return a path with the home folder in place of ~; as it is where there is no such home."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (pathlib's raises RuntimeError)
