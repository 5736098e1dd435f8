"""Two checkouts are measured in turns: a sweep in each, and one of them runs a job at a time.

A machine drifts by 10 to 20 % over minutes, so two sweeps made one after the other do not compare.
Here a job of one is followed at once by the same job of the other, first and second in turn (ABBA),
so that drift and what the first leaves behind fall on both alike. No torch.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from typing import Any

from suites.engine.code import Code
from suites.engine.store.names import expanded
from suites.engine.store.runs import RUNS, RunFolder
from suites.engine.sweep.executors.in_turns import PROTOCOL
from suites.engine.sweep.planning import KINDS

# So long has a sweep that is told to stop before it is killed.
GRACE_S = 10.0
SOMETHING_FAILED = 1
# Settings that say how many processes a timing has: --processes sets them, on both sides.
N_PROCESSES = ("processes", "max_processes")
PROGRAM = "run_bench.py"
PREFIX = f"{PROGRAM}: "


def find_checkout(text: str) -> Path:
    """Return the root of another checkout of this project.

    Raises ValueError if the folder is none, or if its code is too old to take turns.
    """
    root = expanded(text).resolve()
    if not root.is_dir():
        raise ValueError(
            f"there is no folder {text}; ab takes the folder of another checkout, such as one made "
            "by: git worktree add ../before HEAD"
        )
    if not (root / PROGRAM).is_file() or not (root / "suites" / "engine").is_dir():
        raise ValueError(
            f"{text} is no checkout of this project: it has no {PROGRAM} or no suites/engine"
        )
    command = [sys.executable, str(root / PROGRAM), "ab", "--help"]
    done = subprocess.run(command, env=_environment(), capture_output=True, check=False)
    if done.returncode != 0:
        raise ValueError(
            f"the code in {text} does not know the command ab, or does not start; take a later "
            "commit, or compare two runs made one after the other: run_bench.py compare"
        )
    return root


def words_of(options: Namespace) -> list[str]:
    """Say for `run` what `ab` was asked: time and memory, in as many processes on both sides.

    Raises ValueError if --set would make their number another one.
    """
    keys = [text.partition("=")[0].strip() for text in options.set]
    for key, text in zip(keys, options.set, strict=True):
        if key in N_PROCESSES:
            raise ValueError(
                f"--set {text!r}: with ab both sides have a fixed number, --processes N"
            )
    words = ["run", *options.suites, "--preset", options.preset, "--device", options.device]
    fixed = [f"{name}={options.processes}" for name in N_PROCESSES]
    usual = ["measures=time,memory"] if "measures" not in keys else []
    words += ["--set", *usual, *fixed, *options.set]
    for name in ("where", "data", "seeds", "timeout", "retry"):
        given = getattr(options, name)
        if given not in (None, "", []):
            words += [f"--{name}", *(given if isinstance(given, list) else [str(given)])]
    return [*words, "--download"] if options.download else words


def code_words(code: Code) -> str:
    """Name the commit and the measured code."""
    changed = ", with changes" if code["dirty"] else ""
    return f"commit {code['commit'][:9] or 'unknown'}{changed}, measured code {code['hash']}"


class Side:
    """A side is one of the two checkouts: its sweep, in a process of its own, and its run's folder.

    name: "other" or "this". greeting: what the sweep says of itself once it can start.
    """

    def __init__(self, name: str, root: Path, folder: RunFolder) -> None:
        self.name, self.root, self.folder = name, root, folder
        self.greeting: dict[str, Any] = {}
        self.refusal, self.last_line, self.unread = "", "nothing", b""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, words: Sequence[str]) -> None:
        """Start the sweep, and wait until it is ready to measure.

        words: the options of `run`. Raises ValueError with the sweep's own sentence if it refuses.
        """
        near, far = socket.socketpair()
        listening, self.lifeline = os.pipe()
        turns = f"{far.fileno()},{listening}"
        program = str(self.root / PROGRAM)
        self.process = subprocess.Popen(
            [sys.executable, program, *words, "--run", self.folder.name, "--in-turns", turns],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(far.fileno(), listening),
            # Ctrl-C reaches this process alone, which then stops the sweeps
            start_new_session=True,
        )
        far.close()
        os.close(listening)
        self.connection, self.lines = near, near.makefile("rw")
        self.greeting = self.heard() or {}
        self._understand()

    def _understand(self) -> None:
        if self.greeting.get("protocol") != PROTOCOL:
            raise ValueError(
                f"the code in {self.root} takes turns in another way than this; merge or rebase "
                "one of the two, so that both have the same suites/engine/sweep"
            )
        if self.greeting["root"] != str(self.root):
            raise ValueError(f"the sweep of {self.root} runs code in {self.greeting['root']}")
        code = self.greeting["code"]
        found = {r["code"]["hash"] for r in self.folder.records()} - {code["hash"]}
        if found:
            raise ValueError(
                f"run {self.folder.name!r} holds measurements of code {', '.join(sorted(found))}, "
                f"in {self.root} is now {code['hash']}; use another --run name"
            )

    def tell(self, answer: Mapping[str, Any]) -> None:
        """Answer what the sweep asked last; if it was killed meanwhile, `heard` will say so."""
        with suppress(BrokenPipeError):
            self.lines.write(json.dumps(answer) + "\n")
            self.lines.flush()

    def heard(self) -> dict[str, Any] | None:
        """Print what the sweep prints until it asks something; None once it has ended well.

        Raises ValueError with the sweep's own sentence if it has ended otherwise.
        """
        assert self.process is not None
        assert self.process.stdout is not None
        output, has_finished = self.process.stdout.fileno(), False
        ends: list[Any] = [output, self.connection]
        while ends:
            if output in select(ends, [], [])[0]:
                # before any question: it was printed before that
                if not self._print(os.read(output, 2**16)):
                    ends.remove(output)
            elif not (line := self.lines.readline()):
                ends.remove(self.connection)
            elif "finished" in (message := dict(json.loads(line))):
                has_finished = message["finished"] in (0, SOMETHING_FAILED)
            else:
                return message
        code = self.process.wait()
        if not has_finished:
            lost = f"it ended with exit code {code}, and said last: {self.last_line}"
            raise ValueError(f"the sweep in {self.root} cannot go on: {self.refusal or lost}")
        return None

    def _print(self, chunk: bytes) -> bool:
        """Print the whole lines of what the sweep printed; False at the end of its output."""
        *lines, self.unread = (self.unread + chunk).split(b"\n")
        for line in (line.decode(errors="replace") for line in lines):
            self.last_line = line.strip() or self.last_line
            if line.startswith(PREFIX):
                self.refusal = line.removeprefix(PREFIX)
            else:
                print(f"{self.name:5} | {line}", flush=True)
        return chunk != b""

    def stop(self) -> None:
        """End the sweep and its jobs, if it has not ended; what is on disk is kept."""
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=GRACE_S)
        os.close(self.lifeline)
        process.kill()
        process.communicate()
        self.connection.close()


@contextmanager
def stopped_at_the_end(sides: Sequence[Side]) -> Iterator[None]:
    """Leave no sweep behind, however this ends."""
    try:
        yield
    finally:
        for side in sides:
            side.stop()


def agree(other: Side, this: Side) -> list[str]:
    """Let both sides measure the cases that both have, and return their ids, in order.

    What only one has is told. Raises ValueError if that is all, or if the machine looks different
    to the two.
    """
    a, b = other.greeting, this.greeting
    if a["method"] != b["method"]:
        raise ValueError(
            f"the two checkouts measure by method {a['method']} and {b['method']}, so that their "
            "numbers do not compare; take another commit"
        )
    for name in a["identity"].keys() & b["identity"].keys():
        if a["identity"][name] != b["identity"][name]:
            raise ValueError(
                f"the two checkouts see {name} {a['identity'][name]!r} and "
                f"{b['identity'][name]!r}, so that their numbers do not compare"
            )
    common = [case_id for case_id in b["cases"] if case_id in a["cases"]]
    for side, elsewhere in ((other, b), (this, a)):
        for case_id, label in side.greeting["cases"].items():
            if case_id not in elsewhere["cases"]:
                print(f"note: only {side.name} has this case, it is not measured: {label}")
    if not common:
        raise ValueError(
            f"the two checkouts have no case in common ({len(a['cases'])} and {len(b['cases'])} "
            "cases); name suites that both have"
        )
    return common


def take_turns(other: Side, this: Side, cases: Sequence[str]) -> None:
    """Deal out the turns until both sides have measured all of their cases.

    Both ask for their jobs in the same order. Who is first in a pair changes from case to case and,
    for each case, from process to process. A job that only one side lacks, because the other has
    it already, or measures it again after foreign load, has a turn alone.
    """
    position = {case_id: i for i, case_id in enumerate(cases)}

    def rank(asked: Mapping[str, Any]) -> tuple[int, int, int, int]:
        case_id, kind, index, seed = asked["job"]
        return KINDS[kind], index, seed, position[case_id]

    sides = (other, this)
    for side in sides:
        side.tell({"cases": list(cases)})
    asked = {side: side.heard() for side in sides}
    while waiting := [side for side in sides if asked[side] is not None]:
        ranks = {side: rank(asked[side] or {}) for side in waiting}
        turn = [side for side in waiting if ranks[side] == min(ranks.values())]
        _, index, _, place = min(ranks.values())
        for side in turn if (index + place) % 2 == 0 else reversed(turn):
            side.tell({})
            asked[side] = side.heard()


def _environment() -> dict[str, str]:
    """Return the variables of both sweeps: nothing is written into the other checkout."""
    own = {"REFORMER_RUNS": str(RUNS), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    return {**os.environ, **own}
