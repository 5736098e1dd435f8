"""Do the tests see planted faults? `python tests/mutations.py`, run by hand, tells.

Each fault of `tests/mutants/` is planted in a copy of the project, never in the working tree, and
the tests of its group run there until the first one fails. Prints which test saw which fault, and
how many were seen; ends with 1 if more than MAY_SURVIVE were not, or if a fault cannot be planted.
Names given (`python tests/mutations.py memory timing`) choose groups; then nothing may survive.
"""

import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants import GROUPS
from mutants.fault import Fault

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("reformer", "baselines", "suites", "report", "tests", "run_bench.py", "pyproject.toml")
# Of all; of groups that are named, none.
MAY_SURVIVE = 2
# At a time: more would hold each other up on a laptop.
N_COPIES = 2
# Tests that hang have seen the fault too.
TIMEOUT_S = 300
HANGS = f"they hang for {TIMEOUT_S} s"


def planted(text: str, fault: Fault) -> str:
    """Plant a fault in the text of its file. Raises ValueError unless its place is there once."""
    n = text.count(fault.old)
    if n != 1:
        raise ValueError(
            f"{fault.file} has {n} times {fault.old!r}, where it must be exactly once; "
            "the code has changed: mend the fault in tests/mutants"
        )
    return text.replace(fault.old, fault.new)


def copy_project(folder: Path) -> Path:
    """Copy what the tests need of the project into a folder."""
    folder.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
            )
        else:
            shutil.copy(source, folder)
    return folder


def run_tests(copy: Path, tests: Sequence[str]) -> str:
    """Run tests in a copy, and return the first that failed, "" if none did.

    Raises RuntimeError if they could not run.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
    # no compiled files: two faults in the same second would be taken for one
    here = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        run = subprocess.run(
            [*command, *tests],
            cwd=copy,
            env=here,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return HANGS
    return seen_by(run.stdout + run.stderr, run.returncode)


def seen_by(output: str, code: int) -> str:
    """Return the first failed test of pytest's output, "" if all passed.

    Raises RuntimeError if they could not run: such a fault is seen by nobody.
    """
    if code == 0:
        return ""
    found = re.search(r"^(FAILED|ERROR) (\S+?::.*?)(?: - .*)?$", output, re.MULTILINE)
    if code != 1 or not found:
        raise RuntimeError(f"the tests could not run:\n{output[-2000:]}")
    # an id may hold " - ": it ends with its bracket
    name = re.match(r"\S+?::\w+(\[.*\])?", found[0].split(" ", 1)[1])
    assert name is not None
    return name[0] + (" (an error)" if found[1] == "ERROR" else "")


def try_fault(copies: "queue.Queue[Path]", fault: Fault, tests: Sequence[str]) -> str:
    """Plant a fault in a copy that is free, run the tests, mend it, and return who saw it."""
    copy = copies.get()
    file = copy / fault.file
    text = file.read_text()
    try:
        file.write_text(planted(text, fault))
        return run_tests(copy, tests)
    finally:
        file.write_text(text)
        copies.put(copy)


def main(names: Sequence[str]) -> int:
    """Try the faults of these groups, of all by default, and print the table."""
    groups = {name: GROUPS[name] for name in names or GROUPS}
    todo = [(name, fault) for name, group in groups.items() for fault in group.FAULTS]
    for _, fault in todo:
        planted((ROOT / fault.file).read_text(), fault)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(N_COPIES) as pool:
        copies: queue.Queue[Path] = queue.Queue()
        for i in range(N_COPIES):
            copies.put(copy_project(Path(folder) / f"copy{i}"))
        whole = copy_project(Path(folder) / "whole")
        tests = [test for group in groups.values() for test in group.TESTS]
        failed = run_tests(whole, list(dict.fromkeys(tests)))
        if failed:
            print(f"without any fault {failed} fails already: mend that first")
            return 1
        seen = pool.map(lambda one: try_fault(copies, one[1], groups[one[0]].TESTS), todo)
        n_seen = 0
        for (name, fault), test in zip(todo, seen, strict=True):
            n_seen += bool(test)
            verdict = f"seen by {test}" if test else "SURVIVED"
            print(f"{name:10}  {fault.why}\n{'':12}{verdict}", flush=True)
    minutes = (time.monotonic() - start) / 60
    print(f"{n_seen} of {len(todo)} planted faults are seen, in {minutes:.0f} minutes")
    return int(n_seen < len(todo) - (0 if names else MAY_SURVIVE))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        if name not in GROUPS:
            sys.exit(f"no group of faults is named {name!r}; there are {', '.join(GROUPS)}")
    sys.exit(main(sys.argv[1:]))
