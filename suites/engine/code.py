"""The code that measured is told by its git commit and by a hash of the sources that matter.

Those are the sources that decide a number. No torch.
"""

import functools
import hashlib
import subprocess
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).resolve().parents[2]
# What decides a number, and nothing else: a new suite or a change of the report leaves a sweep be.
MEASURED_CODE = (
    "reformer",
    "baselines",
    "suites/settings.py",
    "suites/tasks",
    "suites/engine/measure",
)
CODE_SUFFIXES = (".py", ".cpp", ".cu", ".h")


class Code(TypedDict):
    """The code that measured; commit is "" outside git."""

    commit: str
    dirty: bool
    hash: str


@functools.cache
def code_state(root: Path = ROOT) -> Code:
    """Return which code this is: the git commit ("" outside git), and `code_hash`.

    dirty: do the measured sources differ from the commit?
    """
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", *MEASURED_CODE)
    return {"commit": commit, "dirty": bool(changes), "hash": code_hash(root)}


def code_hash(root: Path) -> str:
    """Hash every source file of the measured code, by path and content: 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in MEASURED_CODE:
        for path in sorted([root / part, *(root / part).rglob("*")]):
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
