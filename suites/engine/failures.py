"""What ended a job that did not finish is told as the status and the reason of its record.

An exception is judged in the process in which it was raised, by its type and its text; a process
that vanished is judged from outside, by its exit code and what the kernel says about memory. No
torch.
"""

import itertools
import re
import signal
from pathlib import Path
from typing import NamedTuple

RETRYABLE = ("oom", "timeout", "crash", "diverged", "skipped")

# How PyTorch, its CPU allocator and the C++ library say that memory ran out, and the bytes asked
# for if they tell.
_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory: you tried to allocate (?P<bytes>\d+) bytes"
    r"|(?:CUDA )?out of memory\. Tried to allocate (?P<amount>[\d.]+) (?P<unit>[KMGT]?i?B)"
    r"|CUDA error: out of memory|std::bad_alloc|Cannot allocate memory"
)
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class Diverged(Exception):
    """Training has left the finite numbers; the message says where."""


class Failure(NamedTuple):
    """A failure is a status and a reason, as in a record (suites.engine.store.records)."""

    status: str
    reason: str


def failure_of_error(error: BaseException) -> Failure:
    """Judge an exception: "diverged", "oom" with the bytes asked for, or "crash"."""
    text = str(error)
    if isinstance(error, Diverged):
        return Failure("diverged", text)
    found = _OUT_OF_MEMORY.search(text)
    if found or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Failure("oom", _bytes_asked_for(found))
    lines = text.strip().splitlines()
    return Failure("crash", f"{type(error).__name__}: {lines[-1] if lines else 'no message'}")


def failure_of_exit(exit_code: int | None, oom_kills: int, log: Path, log_start: int) -> Failure:
    """Judge a process that ended without a word.

    exit_code: negative for a signal, as in multiprocessing. oom_kills: how many processes the
    kernel killed for memory while it ran. log_start: where in the log, in bytes, this process began
    to write.
    """
    code = -1 if exit_code is None else exit_code
    if code == -signal.SIGKILL and oom_kills > 0:
        return Failure("oom", "killed by the kernel, which had no memory left")
    if code < 0:
        cause = f"killed by signal {signal_name(-code)}"
    else:
        cause = f"the process ended with exit code {code} before its result"
    last = telling_line(log, log_start)
    return Failure("crash", f"{cause}; log: {last}" if last else cause)


def signal_name(number: int) -> str:
    """Name a signal: "SIGSEGV" for 11; the number itself where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def telling_line(log: Path, start: int) -> str:
    """Return the line of a log that says most, "" if there is none.

    That is the innermost frame if faulthandler wrote a traceback, else the last line. start: where
    in the log, in bytes, to begin.
    """
    try:
        text = log.read_bytes()[start:].decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line, following in itertools.pairwise(lines):
        if line.endswith("(most recent call first):"):
            return following
    return lines[-1] if lines else ""


def oom_kill_count() -> int:
    """Count the processes that the kernel has killed for memory since it started; 0 if unknown."""
    try:
        found = re.search(
            r"^oom_kill (\d+)", Path("/proc/vmstat").read_text(errors="replace"), re.MULTILINE
        )
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def _bytes_asked_for(found: re.Match[str] | None) -> str:
    if found and found["bytes"]:
        return f"out of memory: {int(found['bytes']):,} bytes asked for"
    if found and found["amount"]:
        n_bytes = float(found["amount"]) * _UNITS.get(found["unit"], 1)
        return f"out of memory: {int(n_bytes):,} bytes asked for"
    return "out of memory"
