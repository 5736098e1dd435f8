"""Compile the C++ of the native kernel at first use, keep the library in a cache, and load it.

The library lies in $XDG_CACHE_HOME/reformer-bench (~/.cache/reformer-bench), under a name made of
source, flags, compiler and processor. The compiler is $CXX, or g++.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).parent
UNITS = ("attention.cpp", "hash.cpp")
HEADERS = tuple(f"{name}.h" for name in ("simd", "problem", "window", "forward", "backward"))
# No -ffast-math: masked logits are infinite, and a NaN must stay one.
FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno"),
    *("-fno-trapping-math", "-shared", "-fPIC", "-pthread"),
)
TIMEOUT_S = 120


class Unavailable(Exception):
    """Signal that there is no native kernel on this machine; the message says why."""


_pinned: list[Path] = []


def pin(path: Path) -> None:
    """Let this process load that library and compile none, whatever becomes of the sources."""
    _pinned[:] = [path]
    load.cache_clear()


@lru_cache(maxsize=1)
def load() -> ctypes.CDLL:
    """Load the library, which is compiled first if it was not; raises Unavailable."""
    path = library()
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise Unavailable(f"cannot load {path}: {error}") from error


def library() -> Path:
    """Return the library's path, and compile it if it is not there; raises Unavailable."""
    if _pinned:
        return _pinned[0]
    compiler = _compiler()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reformer-bench"
    path = folder / f"native-{_fingerprint(compiler)}.so"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _compile(compiler, path)
    except OSError as error:
        raise Unavailable(f"cannot write to {folder}: {error}") from error
    return path


def compiler_version() -> str:
    """Name the compiler and its version, such as "g++ 12.2.0"; "none" if there is none."""
    try:
        compiler = _compiler()
        return f"{Path(compiler).name} {_ask(compiler, '-dumpfullversion')}"
    except Unavailable:
        return "none"


def _compiler() -> str:
    name = os.environ.get("CXX") or "g++"
    compiler = shutil.which(name)
    if compiler is None:
        raise Unavailable(f"no compiler {name} was found; set CXX")
    return compiler


def _ask(compiler: str, *questions: str) -> str:
    command = [compiler, *questions]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"cannot run {compiler}: {error}") from error
    return done.stdout.strip()


def _compile(compiler: str, path: Path) -> None:
    """Compile under a name of our own, then rename: others find all of the library or nothing."""
    handle, unfinished = tempfile.mkstemp(suffix=".so", dir=path.parent)
    os.close(handle)
    command = [compiler, *FLAGS, *(str(HERE / unit) for unit in UNITS), "-o", unfinished]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            raise Unavailable(f"{compiler} failed: {_first_error(done.stderr)}")
        Path(unfinished).replace(path)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{compiler} took more than {TIMEOUT_S} s") from error
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _first_error(log: str) -> str:
    lines = [line for line in log.splitlines() if "error" in line.lower()] or log.splitlines()
    return lines[0].strip() if lines else "it said nothing"


def _fingerprint(compiler: str) -> str:
    version = _ask(compiler, "-dumpfullversion", "-dumpmachine")
    made_of = hashlib.sha256()
    for part in (*FLAGS, compiler, version, _processor()):
        made_of.update(part.encode() + b"\0")
    for name in (*UNITS, *HEADERS):
        made_of.update((HERE / name).read_bytes())
    return made_of.hexdigest()[:24]


def _processor() -> str:
    """Describe the processor, on which depends what -march=native means."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    names = ("model name", "flags", "Features", "CPU part", "isa")
    return "\n".join(sorted({line for line in lines if line.startswith(names)}))
