"""Sweeps on one machine take turns, for two at once would time each other. No torch.

The turn is a lock on a file among the temporary ones, one for all checkouts of a user; the system
gives it back whatever becomes of its holder. REFORMER_LOCK names another file.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from suites.engine.code import ROOT
from suites.engine.store.names import expanded

MAX_WORDS = 500


@contextmanager
def own_turn(run: str) -> Iterator[None]:
    """Measure alone on this machine: wait for a sweep that measures now, and say which that is.

    Where there can be no such file or no such lock, nobody is waited for. Raises ValueError if
    REFORMER_LOCK names what is no such file.
    """
    file = _open_lock()
    if file is None:
        print("note: there is no place for a lock: a second sweep here would disturb this one")
        yield
        return
    with file:
        with suppress(OSError):  # some network file systems have no locks
            _take(file)
        with suppress(OSError):
            file.truncate(0)
            file.write(f"process {os.getpid()}, run {run!r} of {ROOT}".encode())
            file.flush()
        yield


def _take(file: IO[bytes]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        text = file.read(MAX_WORDS).decode(errors="replace")
        holder = "".join(c for c in text if c.isprintable()) or "another sweep"
        print(
            f"waiting: {holder}, measures on this machine, and two sweeps at once would time each "
            "other; this one begins when that one ends, or Ctrl-C stops it",
            flush=True,
        )
        fcntl.flock(file, fcntl.LOCK_EX)


def _open_lock() -> IO[bytes] | None:
    given = os.environ.get("REFORMER_LOCK")
    if given:
        try:
            return _open(expanded(given))
        except OSError as error:
            raise ValueError(
                f"REFORMER_LOCK is {given!r}, which cannot be opened ({error.strerror}); name a "
                "file in a folder that is there"
            ) from None
    for path in _places():
        with suppress(OSError):
            return _open(path)
    return None


def _open(path: Path) -> IO[bytes]:
    # no link, and no file of another user, who could have put it there
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "a+b")


def _places() -> Iterator[Path]:
    """Yield where the lock may lie: first where it is the same for every job of a batch system."""
    name = f"reformer-bench-{os.getuid()}.lock"
    yield Path("/tmp") / name
    with suppress(OSError):
        yield Path(tempfile.gettempdir()) / name
