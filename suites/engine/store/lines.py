"""Files of one JSON object per line: appended and synced, read with a note on what is none."""

import errno
import json
import math
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any


def sync(file: IO[Any]) -> None:
    """Have what was written on disk, as far as the file system can tell when it is."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise


def append_line(path: Path, content: Any) -> None:
    """Append one line, flushed and synced: a kill at any moment loses at most the line in flight.

    A torn last line of an earlier kill is closed first. Raises OSError as the file system does.
    """
    line = json.dumps(content, allow_nan=False) + "\n"
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = "\n" + line
        file.write(line.encode())
        file.flush()
        sync(file)


def drop_lines(path: Path, is_dropped: Callable[[Any], bool]) -> None:
    """Rewrite a file in one step without the lines of which `is_dropped` is true.

    What is no JSON object is kept. A kill or a full disk leaves the old file or the new one.
    """
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    contents = map(_parse, lines)
    pairs = zip(lines, contents, strict=True)
    kept = [line for line, x in pairs if not (isinstance(x, dict) and is_dropped(x))]
    if len(kept) == len(lines):
        return
    draft = path.with_suffix(".tmp")
    try:
        with draft.open("wb") as file:
            file.writelines(kept)
            file.flush()
            sync(file)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)


def read_lines(path: Path, check: Callable[[Any], str]) -> list[Any]:
    """Read all lines that `check` finds nothing wrong with; the others are skipped with a note.

    check: says what is wrong with a line's content, "" if nothing is.
    """
    found = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else [], 1):
        if not line.strip():
            continue
        content = _parse(line)
        problem = check(content) if content is not None else "it is cut short or no JSON"
        if problem:
            _tell(f"note: {path}, line {number} is skipped: {problem}")
        else:
            found.append(content)
    return found


def _parse(line: bytes) -> Any:
    """Read JSON; what is none, or has numbers that nobody measures (NaN, 1e999), is None."""
    try:
        return json.loads(
            line, parse_constant=_finite, parse_float=_finite, parse_int=_whole_number
        )
    except (ValueError, RecursionError):
        return None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no measurement")
    return number


def _whole_number(text: str) -> int:
    _finite(text)
    return int(text)


@cache
def _tell(note: str) -> None:
    """Print a note once, however often the file is read."""
    print(note, file=sys.stderr)
