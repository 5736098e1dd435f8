"""A fresh process prepares itself, calls the function, and sends back what it found. No torch.

The process writes to its own log, dies with the sweep, and on the CPU lives under an address-space
limit, so that running out of memory is an error in it alone.
"""

import contextlib
import faulthandler
import fcntl
import importlib
import json
import math
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from suites.engine.failures import failure_of_error
from suites.engine.host import available_bytes

# Left to the system and to the sweep when a job gets all other available memory.
RESERVE_BYTES = 512 * 2**20


def enter(function: str, argument: Any, sender: Connection, log: str, share: float) -> None:
    """Prepare the fresh process, call the function, send its result or how it failed, and end.

    This is the first function of the process. function: "package.module:name". share: of the
    available memory, inf for all there is.
    """
    die_with_sweep()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    write_to_log(Path(log))
    if math.isfinite(share):
        limit_address_space(share)
    try:
        module, name = function.split(":")
        call: Callable[[Any], dict[str, Any]] = getattr(importlib.import_module(module), name)
        # as JSON, so that a result that no record can hold fails here and not in the sweep
        message: tuple[str, Any] = ("result", json.dumps(call(argument), allow_nan=False))
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        message = ("failure", tuple(failure_of_error(error)))
    sender.send(message)
    sys.stderr.flush()
    sys.stdout.flush()
    # torch takes 50 ms to take itself apart
    os._exit(0)


def die_with_sweep() -> None:
    """End this process at once, by the kernel, when the sweep ends, be it by SIGKILL.

    The pipe from the sweep closes then, and Linux can be told to signal that. PR_SET_PDEATHSIG
    would watch the fork server instead, which lives as long as any of its children.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    die_when_closed(parent.sentinel)
    if not parent.is_alive():
        os._exit(1)


def die_when_closed(pipe: int) -> None:
    """Let the kernel end this process when the far end of a pipe is closed, or written to."""
    if not hasattr(fcntl, "F_SETSIG"):
        return
    # not every container's kernel has such signals: a job then outlives a killed sweep, and ends
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


def write_to_log(log: Path) -> None:
    """Send all output of this process to the end of the log, native tracebacks included.

    Where the log cannot be written, as on a full disk, the output is lost and the job is done.
    """
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if descriptor > 2:
        os.close(descriptor)
    faulthandler.enable(file=2)


def limit_address_space(share: float) -> None:
    """Limit how far this process may grow: by its share of the memory available now.

    A reserve is left to the system and to the sweep.
    """
    limits = resource.getrlimit(resource.RLIMIT_AS)
    _, hard = limits
    available = available_bytes()
    try:
        used = psutil.Process().memory_info().vms
    except psutil.Error:  # /proc is hidden
        used = None
    if available is None or used is None:
        return
    limit = used + int(share * max(0, available - RESERVE_BYTES))
    # nor beyond what was set before, by a batch system or by `ulimit -v`
    limit = min([limit, *(known for known in limits if known != resource.RLIM_INFINITY)])
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def nothing(_: object) -> dict[str, Any]:
    """Return nothing found: what such a job takes is the price of a process."""
    return {}
