"""Which code measured: the git commit, and a hash of the sources that decide a number. No torch."""

import functools
import hashlib
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MEASURED_CODE = ("reformer", "baselines", "suites")
CODE_SUFFIXES = (".py", ".cpp", ".cu", ".h")


@functools.cache
def code_state(root: Path = ROOT) -> dict[str, Any]:
    """{"commit", "dirty", "hash"}: the git commit ("" outside git) and a hash of the measured
    code's text.
    """
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", *MEASURED_CODE)
    return {"commit": commit, "dirty": bool(changes), "hash": code_hash(root)}


def code_hash(root: Path) -> str:
    """A hash of every source file of the measured packages, by path and content."""
    digest = hashlib.sha256()
    for package in MEASURED_CODE:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in CODE_SUFFIXES and "__pycache__" not in path.parts:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:12]


def _git(root: Path, *command: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *command], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
