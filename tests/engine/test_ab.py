"""The command ab deals out turns: who is first changes, nothing is lost, and refusals are told."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import run_bench
from suites.engine.code import ROOT
from suites.engine.store.runs import RunFolder
from suites.engine.sweep.key_values import changes_of
from suites.engine.sweep.pair import Side, agree, take_turns, words_of

Key = tuple[str, str, int, int]


class Scripted(Side):
    """A scripted side asks for given jobs, and writes down in a common list when each runs."""

    def __init__(self, name: str, jobs: list[Key], ran: list[tuple[str, Key]]) -> None:
        self.name, self.jobs, self.ran = name, list(jobs), ran
        self.asked: Key | None = None

    def heard(self) -> dict[str, Any] | None:
        assert self.asked is None, "it asks once, and waits for the answer"
        self.asked = self.jobs.pop(0) if self.jobs else None
        return None if self.asked is None else {"job": list(self.asked)}

    def tell(self, answer: Any) -> None:
        if "cases" not in answer:
            assert self.asked is not None
            self.ran.append((self.name, self.asked))
            self.asked = None


def all_jobs(cases: list[str], n: int) -> list[Key]:
    """The jobs of cases in the order of a sweep."""
    passes = [(case, "time", index, 0) for index in range(n) for case in cases]
    return [*passes, *((case, "memory", 0, 0) for case in cases)]


def turns_of(cases: list[str], ours: list[Key], theirs: list[Key]) -> list[tuple[str, Key]]:
    ran: list[tuple[str, Key]] = []
    take_turns(Scripted("other", theirs, ran), Scripted("this", ours, ran), cases)
    return ran


def letters(ran: list[tuple[str, Key]]) -> str:
    return "".join({"other": "A", "this": "B"}[name] for name, _ in ran)


def test_the_order_is_abba_over_cases_and_for_each_case() -> None:
    for n_cases in (1, 2, 3, 6):
        cases = [f"case {i}" for i in range(n_cases)]
        jobs = all_jobs(cases, 4)
        ran = turns_of(cases, jobs, jobs)
        assert letters(ran).startswith("ABBAAB"[: 2 * n_cases])
        assert [job for _, job in ran] == [job for job in jobs for _ in range(2)]
        for case in cases:
            own = [(name, job) for name, job in ran if job[0] == case and job[1] == "time"]
            assert letters(own) in ("ABBAABBA", "BAABBAAB")


@pytest.mark.parametrize("seed", range(20))
def test_whatever_each_side_lacks_is_measured_once_and_what_both_lack_side_by_side(
    seed: int,
) -> None:
    """As after a kill, or after failures: each side has any part of the jobs left."""
    rng = random.Random(seed)
    cases = [f"case {i}" for i in range(rng.randint(1, 6))]
    jobs = all_jobs(cases, rng.randint(1, 5))
    share = rng.random()
    ours, theirs = ([job for job in jobs if rng.random() < share] for _ in range(2))
    ran = turns_of(cases, ours, theirs)
    assert [job for name, job in ran if name == "this"] == ours
    assert [job for name, job in ran if name == "other"] == theirs
    for i, (_, job) in enumerate(ran):
        if job in ours and job in theirs:
            around = [other for _, other in ran[max(0, i - 1) : i + 2]]
            assert around.count(job) == 2, "a pair is not apart"


def test_what_is_measured_again_has_a_turn_of_its_own() -> None:
    """A pass under foreign load comes again at the end of its round, on one side alone."""
    cases = ["a", "b", "c"]
    jobs = all_jobs(cases, 2)
    ours = [*jobs[:3], jobs[1], *jobs[3:]]
    ran = turns_of(cases, ours, jobs)
    assert [job for name, job in ran if name == "this"] == ours
    assert [job for name, job in ran if name == "other"] == jobs
    assert ran[6] == ("this", jobs[1])


def greeted(name: str, **changes: Any) -> Side:
    side = Side(name, Path("/nowhere"), RunFolder(Path("/nowhere")))
    usual = {"method": 4, "identity": {"machine": "m", "threads": 2}, "cases": {"1": "one"}}
    side.greeting = {**usual, **changes}
    return side


def test_what_only_one_side_has_is_told_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    other = greeted("other", cases={"1": "one", "2": "two", "3": "three"})
    this = greeted("this", cases={"3": "three", "4": "four", "1": "one"})
    assert agree(other, this) == ["3", "1"]
    assert capsys.readouterr().out.splitlines() == [
        "note: only other has this case, it is not measured: two",
        "note: only this has this case, it is not measured: four",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": 3}, "by method 3 and 4"),
        ({"identity": {"threads": 1, "new": 5}}, "see threads 1 and 2"),
        ({"cases": {"2": "two"}}, r"no case in common \(1 and 1 cases\)"),
    ],
)
def test_what_does_not_compare_is_refused_before_anything_is_measured(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        agree(greeted("other", **changes), greeted("this"))


OLD = "import sys\nsys.exit(2)\n"


def checkout(folder: Path, program: str) -> Path:
    (folder / "suites" / "engine").mkdir(parents=True)
    (folder / "run_bench.py").write_text(program)
    return folder


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "nothing", "there is no folder"),
        (lambda folder: folder, "is no checkout of this project"),
        (lambda folder: checkout(folder, OLD), "does not know the command ab"),
        (lambda folder: checkout(folder, "import nothing_like_it"), "or does not start"),
    ],
)
def test_what_is_no_fit_checkout_is_a_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], Path],
    said: str,
) -> None:
    assert run_bench.main(["ab", str(make(tmp_path)), "layers"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("run_bench.py: ")
    assert said in line


@pytest.mark.parametrize("text", ["", "1", "0,1", "x,y", "900,901", "-1,-1", "1,2,3"])
def test_turns_that_nobody_deals_out_are_refused(text: str) -> None:
    command = [sys.executable, str(ROOT / "run_bench.py"), "run", "layers", f"--in-turns={text}"]
    done = subprocess.run([*command, "--run", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout
    assert "--in-turns is what the command ab tells" in done.stderr
    assert len(done.stderr.splitlines()) == 1


ASKS = """
import sys, time
from suites.engine.sweep.executors.in_turns import Channel
channel = Channel(sys.argv[1])
print(channel.ask({"job": 1}), flush=True)
time.sleep(60)
"""


def test_a_sweep_ends_at_once_when_the_command_is_gone() -> None:
    near, far = socket.socketpair()
    listening, lifeline = os.pipe()
    asking = subprocess.Popen(
        [sys.executable, "-c", ASKS, f"{far.fileno()},{listening}"],
        cwd=ROOT,
        pass_fds=(far.fileno(), listening),
        stdout=subprocess.PIPE,
        text=True,
    )
    far.close()
    os.close(listening)
    with near, near.makefile("rw") as lines:
        assert json.loads(lines.readline()) == {"job": 1}
        print("{}", file=lines, flush=True)
        assert asking.stdout is not None
        assert asking.stdout.readline() == "{}\n", "an answer ends nothing"
        os.close(lifeline)
        assert asking.wait(timeout=20) == -signal.SIGKILL
        asking.communicate()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], []),
        (["--timeout", "0", "--seeds", "0"], ["--seeds", "0", "--timeout", "0.0"]),
        (["--where", "length=64", "n_rounds=1"], ["--where", "length=64", "n_rounds=1"]),
        (["--data", "text=a b", "--retry", "oom"], ["--data", "text=a b", "--retry", "oom"]),
        (["--download"], ["--download"]),
    ],
)
def test_what_is_asked_of_both_sweeps_is_what_was_asked(given: list[str], told: list[str]) -> None:
    options = run_bench.make_parser().parse_args(["ab", ".", "layers", "million", *given])
    words = words_of(options)
    head = ["run", "layers", "million", "--preset", "quick", "--device", "auto", "--set"]
    assert words[: len(head) + 2] == [*head, "measures=time,memory", "processes=6"]
    assert words[len(words) - len(told) :] == told
    again = run_bench.make_parser().parse_args(words)
    for name in ("suites", "where", "data", "seeds", "timeout", "retry", "download", "device"):
        assert getattr(again, name) == getattr(options, name)


def test_the_users_own_settings_come_last_and_count() -> None:
    own = ["--set", "measures=time,quality", "d_model=32", "--processes", "4"]
    options = run_bench.make_parser().parse_args(["ab", ".", *own])
    changes = changes_of(run_bench.make_parser().parse_args(words_of(options)).set)
    assert changes["measures"] == ("time", "quality")
    assert changes["processes"] == 4
    assert changes["d_model"] == 32


@pytest.mark.parametrize("name", ["processes", "max_processes"])
def test_sides_with_different_numbers_of_processes_are_refused(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run_bench.main(["ab", str(ROOT), "layers", "--set", "d_model=32", f"{name}=3"]) == 2
    assert f"--set '{name}=3': with ab" in capsys.readouterr().err
