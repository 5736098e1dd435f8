"""The fork server, from which the processes of jobs come, runs the code of this checkout.

That holds wherever the command was called from, and whatever lies there. No torch.
"""

import contextlib
import functools
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from multiprocessing import resource_tracker, util
from pathlib import Path

from suites.engine.code import ROOT

PRELOAD = "suites.engine.measure.preload"
# An address of a socket has at most 107 bytes; multiprocessing adds some 40 to the folder's name.
MAX_FOLDER_BYTES = 60
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def start_fork_server() -> None:
    """Start the fork server ahead of its first use, so that torch is imported meanwhile.

    Raises ValueError where Python was told not to look at the variables that lead it here.
    """
    require_own_code(ROOT)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOAD])
    make_room_for_sockets()
    with environment(importing_from(ROOT, os.environ)):
        # starting this one unblocks interrupts, so it comes first
        resource_tracker.ensure_running()
        with deaf_to_interrupts():
            multiprocessing.forkserver.ensure_running()


@functools.cache
def require_own_code(root: Path) -> None:
    """Raise ValueError if Python's options -I or -E would lead to the code of another checkout."""
    if not sys.flags.ignore_environment:
        return
    option = "-I" if sys.flags.isolated else "-E"
    command = [sys.executable, option, "-c", "import suites; print(suites.__file__)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = Path(done.stdout.strip() or "/nowhere").resolve().parent
    if found != root / "suites":
        raise ValueError(
            f"with python {option} the processes that measure cannot find the code in {root}; "
            f"start it without {option}, or install it from there: pip install -e {root}"
        )


def importing_from(root: Path, before: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which a Python imports from `root` first, and not from the cwd.

    What else PYTHONPATH names stays, but for the folder we stand in: a torch.py there is no torch.
    """
    found = [str(root)]
    for entry in before.get("PYTHONPATH", "").split(os.pathsep):
        if entry and not is_here(entry):
            found.append(str(Path(entry).absolute()))
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(found)), "PYTHONSAFEPATH": "1"}


def is_here(entry: str) -> bool:
    """Return whether an entry of the path names the current folder."""
    try:
        return Path(entry or ".").samefile(".")
    except (OSError, ValueError):
        return False


def make_room_for_sockets() -> None:
    """Let multiprocessing put its sockets where their names are short enough.

    Batch systems make temporary folders with long names.
    """
    if len(os.fsencode(tempfile.gettempdir())) <= MAX_FOLDER_BYTES:
        return
    usual = tempfile.tempdir
    for folder in SHORT_FOLDERS:
        tempfile.tempdir = folder
        with contextlib.suppress(OSError):
            util.get_temp_dir()
            break
    tempfile.tempdir = usual


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for processes that are started inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Start processes that no Ctrl-C reaches: it is this process that stops them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
