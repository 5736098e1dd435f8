"""One job in one fresh process: started by a fork server that has imported torch, watched, judged.
No torch here.

The stdlib's fork server keeps torch imported (and CUDA untouched), so a process starts in some 50
ms. The process writes to its own log, dies with the scheduler, and on the CPU lives under an
address-space limit, so that running out of memory is an error in it alone.
"""

import contextlib
import faulthandler
import fcntl
import importlib
import json
import math
import multiprocessing
import multiprocessing.forkserver
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

from suites.engine.failures import (
    Failure,
    failure_of_error,
    failure_of_exit,
    oom_kill_count,
)
from suites.engine.host import available_bytes

WORKER = "suites.engine.measure.worker"
ROOT = Path(__file__).resolve().parents[4]
# Left to the system and to the scheduler when a job gets all other available memory.
RESERVE_BYTES = 512 * 2**20
GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job gave back: `result`, or the failure."""

    result: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    wall_s: float = 0.0


def start_fork_server() -> None:
    """Start the fork server ahead of its first use, so that torch is imported meanwhile."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([WORKER])
    with _importable(ROOT):
        multiprocessing.forkserver.ensure_running()


class Running:
    """A job in its fresh process: calls `function` ("package.module:name") on `argument` there.

    n_sharing: how many such processes share the memory that is available now.
    """

    def __init__(
        self,
        function: str,
        argument: Any,
        *,
        log: Path,
        timeout_s: float = math.inf,
        limit_memory: bool = True,
        n_sharing: int = 1,
    ) -> None:
        start_fork_server()
        context = multiprocessing.get_context("forkserver")
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log, self.timeout_s = log, timeout_s
        self.log_start = log.stat().st_size if log.exists() else 0
        self.oom_kills, self.started = oom_kill_count(), time.monotonic()
        self.receiver, sender = context.Pipe(duplex=False)
        share = 1 / n_sharing if limit_memory else math.inf
        self.process = context.Process(
            target=enter, args=(function, argument, sender, str(log), share), daemon=True
        )
        self.process.start()
        # the first job waits until the fork server has imported torch: none of its own time
        self.deadline = time.monotonic() + timeout_s
        sender.close()

    def seconds_left(self) -> float:
        """Seconds until its timeout."""
        return self.deadline - time.monotonic()

    def is_done(self, seconds: float | None = 0.0) -> bool:
        """Has it sent its message, or vanished? Waits so long for it."""
        return bool(wait([self.receiver, self.process.sentinel], seconds))

    def outcome(self) -> Outcome:
        """Its dict, or how it failed, once it is done or its time is over; ends the process."""
        vanished = False
        if self.is_done():
            try:
                kind, content = self.receiver.recv()
            except (EOFError, OSError):
                vanished = True
            self.process.join(GRACE_S)
        else:
            kind, content = "failure", ("timeout", f"not done after {self.timeout_s:g} s")
        self.kill()
        wall_s = time.monotonic() - self.started
        if vanished:
            kills = oom_kill_count() - self.oom_kills
            failure = failure_of_exit(self.process.exitcode, kills, self.log, self.log_start)
            return Outcome(failure=failure, wall_s=wall_s)
        if kind == "failure":
            return Outcome(failure=Failure(*content), wall_s=wall_s)
        return Outcome(result=json.loads(content), wall_s=wall_s)

    def kill(self) -> None:
        """End the process, wherever it is."""
        self.process.kill()
        self.process.join()
        self.receiver.close()


def first_done(running: Collection[Running]) -> Running:
    """Wait for the first of these that is done or whose time is over."""
    ends = [end for one in running for end in (one.receiver, one.process.sentinel)]
    seconds = min(one.seconds_left() for one in running)
    wait(ends, None if math.isinf(seconds) else max(0.0, seconds))
    done = [one for one in running if one.is_done()]
    return done[0] if done else min(running, key=Running.seconds_left)


def run_in_process(
    function: str,
    argument: Any,
    *,
    log: Path,
    timeout_s: float = math.inf,
    limit_memory: bool = True,
) -> Outcome:
    """One job from start to outcome; see Running."""
    running = Running(function, argument, log=log, timeout_s=timeout_s, limit_memory=limit_memory)
    try:
        return first_done([running]).outcome()
    finally:
        running.kill()


def enter(function: str, argument: Any, sender: Connection, log: str, share: float) -> None:
    """The first function of the fresh process: prepare it, call, send the result or the failure,
    end. share: of the available memory, inf for all there is.
    """
    die_with_scheduler()
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


def die_with_scheduler() -> None:
    """End this process at once, by the kernel, when the scheduler ends, be it by SIGKILL.

    The pipe from the scheduler closes then, and Linux can be told to signal that. PR_SET_PDEATHSIG
    would watch the fork server instead, which lives as long as any of its children.
    """
    parent = multiprocessing.parent_process()
    if parent is None or not hasattr(fcntl, "F_SETSIG"):
        return
    fd = parent.sentinel
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    if not parent.is_alive():
        os._exit(1)


def write_to_log(log: Path) -> None:
    """Send all output of this process to the end of the log, native tracebacks included."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(file=2)


def limit_address_space(share: float) -> None:
    """Let this process grow by its share of the memory that is available now, less a reserve, and
    no further.
    """
    process = psutil.Process()
    room = int(share * max(0, available_bytes() - RESERVE_BYTES))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = process.memory_info().vms + room
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


@contextlib.contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Let processes started inside import from `root`, wherever the command was called from."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{root}{os.pathsep}{before}" if before else str(root)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def nothing(_: object) -> dict[str, Any]:
    """The job that costs nothing: what is left is the price of a process."""
    return {}
