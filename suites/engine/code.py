"""The code that measured is told by its git commit and by a hash of the sources that matter.

Those are the sources that decide a number. No torch.
"""

import functools
import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).resolve().parents[2]
# What decides a number, and nothing else: a new suite or a change of the report leaves a sweep be.
MEASURED_CODE = (
    "reformer",
    "baselines",
    "suites/settings.py",
    "suites/effects.py",
    "suites/evaluations.py",
    "suites/pairs.py",
    "suites/tasks",
    "suites/engine/measure",
)
# What no CPU runs: records of a CPU outlive its changes.
ONLY_ON_GPUS = ("reformer/kernels/triton",)
# Of git's variables, those that say where it and its settings are, not which repository is meant.
GIT_SETTINGS = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH")
CODE_SUFFIXES = (".py", ".cpp", ".cu", ".h")


class Code(TypedDict):
    """The code that measured; commit is "" outside its own git repository."""

    commit: str
    dirty: bool
    hash: str


@functools.cache
def code_state(device: str, root: Path = ROOT) -> Code:
    """Return which code this is: the git commit ("" outside our own repository), and `code_hash`.

    device: "cpu" or "cuda", what it measures; dirty: do the measured sources differ from the
    commit, as far as git can tell?
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    # sources unpacked inside another repository are not what its commit says
    if not top or not commit or Path(top).resolve() != root.resolve():
        return {"commit": "", "dirty": False, "hash": code_hash(device, root)}
    changes = _git(root, "status", "--porcelain", "--untracked-files=all", "--", *MEASURED_CODE)
    return {"commit": commit, "dirty": changes != "", "hash": code_hash(device, root)}


def code_hash(device: str, root: Path = ROOT) -> str:
    """Hash the source files that measure on this device, by path and content: 12 digits of 16."""
    digest = hashlib.sha256()
    left_out = [root / part for part in ONLY_ON_GPUS if device == "cpu"]
    for part in MEASURED_CODE:
        for path in sorted([root / part, *(root / part).rglob("*")]):
            if any(path.is_relative_to(folder) for folder in left_out):
                continue
            if path.suffix in CODE_SUFFIXES and "__pycache__" not in path.parts:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:12]


def _git(root: Path, *command: str) -> str | None:
    """Return what git says of the repository in which `root` lies; None where it says nothing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *command],
            env=_without_other_repositories(os.environ),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _without_other_repositories(variables: Mapping[str, str]) -> dict[str, str]:
    """Leave out what would point git elsewhere, such as GIT_DIR within a hook."""
    kept = {
        name: value
        for name, value in variables.items()
        if not name.startswith("GIT_") or name.startswith(GIT_SETTINGS)
    }
    # asking must not write: the checkout may be read-only, or another git at work in it
    return {**kept, "GIT_OPTIONAL_LOCKS": "0"}
