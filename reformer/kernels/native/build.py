"""Compile the C++ of the native kernel at first use, keep the library in a cache, and load it.

The library lies in $XDG_CACHE_HOME/reformer-bench (~/.cache/reformer-bench), or in a temporary
folder of the user's where that cannot be used, under a name made of source, flags, compiler and
processor. It ends with its own checksum: a damaged one is never loaded. The compiler is $CXX, which
may have options and a launcher before it ("ccache g++"), or g++.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
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
CHECKSUM_BYTES = hashlib.sha256().digest_size


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
    # a damaged one would not raise an error but end the process
    if not is_whole(path):
        raise Unavailable(f"{path} is damaged or gone; start again, and it is compiled anew")
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise Unavailable(f"cannot load {path}: {error}") from error


def library() -> Path:
    """Return the library's path, and compile it if it is not there; raises Unavailable."""
    if _pinned:
        return _pinned[0]
    compiler = _compiler()
    name = f"native-{_fingerprint(compiler)}.so"
    problems = []
    for folder in cache_folders():
        path = folder / name
        try:
            if not is_whole(path):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                _compile(compiler, path)
            ctypes.CDLL(str(path))
        except OSError as error:  # of a library too: a folder may forbid to run what lies in it
            problems.append(f"cannot write to {folder} or load from it: {error}")
        else:
            return path
    raise Unavailable("; ".join(problems) or "there is no folder to compile it to; set TMPDIR")


def is_whole(path: Path) -> bool:
    """Return whether a library is there, with all that was written: its end is its checksum."""
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError:
        return False
    return hashlib.sha256(content[:-CHECKSUM_BYTES]).digest() == content[-CHECKSUM_BYTES:]


def cache_folders() -> Iterator[Path]:
    """Yield where the library may lie: in the user's cache, or else where temporary files do."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    with suppress(RuntimeError):  # in containers a user may have no home
        yield Path(base if Path(base).is_absolute() else Path.home() / ".cache") / "reformer-bench"
    with suppress(OSError):
        folder = Path(tempfile.gettempdir()) / f"reformer-bench-{os.getuid()}"
        folder.mkdir(exist_ok=True, mode=0o700)
        # everyone may write there: load nothing that another user has put in place
        found = folder.lstat()
        if found.st_uid == os.getuid() and not found.st_mode & 0o022 and folder.is_dir():
            yield folder


def compiler_version() -> str:
    """Name the compiler and its version, such as "g++ 12.2.0"; "none" if there is none."""
    try:
        compiler = _compiler()
        words = " ".join([Path(compiler[0]).name, *compiler[1:]])
        return f"{words} {_ask(compiler, '-dumpfullversion')}"
    except Unavailable:
        return "none"


def _compiler() -> list[str]:
    """Return the words of the compiler's command; the name of a program may have spaces in it."""
    name = os.environ.get("CXX", "").strip() or "g++"
    try:
        words = [name] if shutil.which(name) else shlex.split(name)
    except ValueError as error:  # an open quote
        raise Unavailable(f"CXX is {name!r}, which is no command: {error}") from error
    found = shutil.which(words[0]) if words else None
    if found is None:
        raise Unavailable(f"no compiler {name} was found; set CXX")
    return [found, *words[1:]]


def _ask(compiler: list[str], *questions: str) -> str:
    command = [*compiler, *questions]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"cannot run {shlex.join(compiler)}: {error}") from error
    return done.stdout.strip()


def _compile(compiler: list[str], path: Path) -> None:
    """Compile under a name of our own, then rename: others find all of the library or nothing."""
    handle, unfinished = tempfile.mkstemp(suffix=".so", dir=path.parent)
    os.close(handle)
    command = [*compiler, *FLAGS, *(str(HERE / unit) for unit in UNITS), "-o", unfinished]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            raise Unavailable(f"{shlex.join(compiler)} failed: {_first_error(done.stderr)}")
        compiled = Path(unfinished).read_bytes()
        Path(unfinished).write_bytes(compiled + hashlib.sha256(compiled).digest())
        Path(unfinished).replace(path)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{shlex.join(compiler)} took more than {TIMEOUT_S} s") from error
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _first_error(log: str) -> str:
    lines = [line for line in log.splitlines() if "error" in line.lower()] or log.splitlines()
    return lines[0].strip() if lines else "it said nothing"


def _fingerprint(compiler: list[str]) -> str:
    version = _ask(compiler, "-dumpfullversion", "-dumpmachine")
    made_of = hashlib.sha256()
    for part in (*FLAGS, *compiler, version, _processor()):
        made_of.update(part.encode() + b"\0")
    for name in (*UNITS, *HEADERS):
        made_of.update((HERE / name).read_bytes())
    return made_of.hexdigest()[:24]


def _processor() -> str:
    """Describe the processor, on which depends what -march=native means."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    names = ("model name", "flags", "Features", "CPU part", "isa")
    return "\n".join(sorted({line for line in lines if line.startswith(names)}))
