"""These functions do what the commands list, run, status and doctor of run_bench.py ask for.

Each takes the parsed options and returns an exit code. `measure_pair` is the part of the command ab
that measures, and returns what is to be compared. No torch.
"""

import shlex
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from reformer.checks import refuse_unknown, require
from suites.base import PRESETS
from suites.engine.code import ROOT, code_hash, code_state
from suites.engine.failures import RETRYABLE
from suites.engine.job import Question
from suites.engine.store.event_files import require_tensorboard, write_event_files
from suites.engine.store.plan import Plan
from suites.engine.store.runs import RunFolder, all_runs, find_run, run_folder, shorten
from suites.engine.store.turns import own_turn
from suites.engine.sweep.backlog import Backlog, Choice
from suites.engine.sweep.cards import time_model
from suites.engine.sweep.doctor import examine
from suites.engine.sweep.estimates import Estimates, in_words
from suites.engine.sweep.executors.fork_server import start_fork_server
from suites.engine.sweep.executors.in_turns import Channel, InTurns
from suites.engine.sweep.executors.local import Local, trainings_side_by_side
from suites.engine.sweep.ledger import DISTURBED
from suites.engine.sweep.pair import (
    SOMETHING_FAILED,
    Side,
    agree,
    code_words,
    find_checkout,
    stopped_at_the_end,
    take_turns,
    words_of,
)
from suites.engine.sweep.planning import DEFAULT_TIMEOUT_S, Asked, find_suites, make_plan
from suites.engine.sweep.progress import make_progress
from suites.engine.sweep.scheduler import Sweep
from suites.engine.sweep.start import (
    joined,
    keep_common,
    probe_machine,
    question_of,
    without_missing_data,
)
from suites.engine.sweep.summary import (
    counts,
    has_failures,
    n_measurements,
    print_cases,
    print_failures,
    print_mispredictions,
    print_on_device,
    print_results,
)
from suites.engine.terminal import width_of_terminal

INTERRUPTED = 130
CONSOLE_SCRIPT = "reformer-bench"


def list_suites(options: Namespace) -> int:
    """Print every suite, its question and cases per preset, and every run with what is done."""
    suites, runs = find_suites(), [folder for folder in all_runs() if can_be_read(folder)]
    width = max(map(len, suites), default=0)
    for name, suite in suites.items():
        numbers = [f"{p} {len(suite.cases(p))}" for p in PRESETS if p in suite.presets]
        print(f"{name:{width}}  {suite.question}")
        last = last_measured(name, runs)
        print(f"{'':{width}}  cases: {', '.join(numbers)}; measured last: {last}")
    for folder in runs:
        plan = folder.plan()
        if plan is not None:
            backlog = Backlog(folder, plan)
            n_done = len({case_id for case_id, _ in backlog.records})
            print(
                f"run {folder.name}: preset {plan.preset}, {n_done} of {len(plan.entries)} cases "
                f"done ({counts(backlog)})"
            )
    return 0


def can_be_read(folder: RunFolder) -> bool:
    """Return whether a run can be read, and say why not if it cannot."""
    try:
        folder.plan(), folder.records()
    except (ValueError, OSError) as error:
        print(f"note: run {folder.name} is left out: {error}", file=sys.stderr)
        return False
    return True


def last_measured(suite: str, runs: list[RunFolder]) -> str:
    """Say which run measured a suite last, and how long it took."""
    for folder in reversed(runs):
        records = [record for record in folder.records() if suite in record["suites"]]
        if records:
            return f"{in_words(sum(r['wall_s'] for r in records))} in run {folder.name}"
    return "never"


def run(options: Namespace) -> int:
    """Measure what a run lacks, and return 0, SOMETHING_FAILED or INTERRUPTED."""
    name = options.run or options.preset
    folder = run_folder(name)
    plan = make_plan(name, asked_of(options), find_suites())
    question = question_of(plan, options.device, options.data, options.download)
    timeout_s, retry = read_timeout(options), read_retry(options.retry)
    at_once = options.trainings
    require(at_once is None or at_once >= 1, f"--trainings is {at_once}; it must be 1 or more")
    if options.dry_run:
        return dry_run(folder, plan, question, retry, options.device_model, at_once)
    if options.tensorboard:
        require_tensorboard()
    require(not options.device_model, "--device-model measures nothing; it goes with --dry-run")
    channel = None if options.in_turns is None else Channel(options.in_turns)
    # as it is now: what changes while this sweep waits for another is refused
    for device in ("cpu", "cuda"):
        code_state(device)
    start_fork_server()
    # the command ab has this machine's turn for both of its sweeps
    with folder.locked(), nullcontext() if channel else own_turn(name):
        library = probe_machine(plan, question)
        if channel:
            keep_common(plan, channel)
        asked_for = frozenset(plan.entries)
        plan = joined(folder, plan)
        folder.write_plan(plan)
        choice = Choice(cases=asked_for, retry=retry, data=question.data, library=library)
        local = (plan.device, folder.log_path, timeout_s)
        executor = InTurns(channel, *local) if channel else Local(*local, n_trainings=at_once)
        backlog = Backlog(folder, plan, choice)
        code = measure(Sweep(backlog, executor, options.prune), executor)
        if options.tensorboard:
            curves = folder.path / "tensorboard"
            if write_event_files(backlog.records.values(), backlog.names, curves):
                print(f"tensorboard --logdir {shlex.quote(shorten(curves))}")
    if channel:
        channel.tell({"finished": code})
    elif code == INTERRUPTED:
        print(f"to go on: {program()} {shlex.join(sys.argv[1:])}")
    else:
        print(f"next: {program()} report {shlex.quote(name)}")
    return code


def measure_pair(options: Namespace) -> tuple[RunFolder, RunFolder, frozenset[str]]:
    """Measure what two runs lack, one in another checkout and one here, in turns.

    Returns both runs, the other's first, and the ids of the cases asked for that both have.
    """
    root, words = find_checkout(options.other), words_of(options)
    hashes = [code_hash("cuda", one) for one in (root, ROOT)]
    name = options.run or "-".join(["ab", options.preset, *(text[:6] for text in hashes)])
    other, this = sides = (
        Side("other", root, run_folder(f"{name}-other")),
        Side("this", ROOT, run_folder(f"{name}-this")),
    )
    if hashes[0] == hashes[1]:
        print("note: the measured code of the two is the same: this tests the ruler")
    with own_turn(name), stopped_at_the_end(sides):
        try:
            for side in sides:
                side.start(words)
                print(f"{side.name}: {side.root}, {code_words(side.greeting['code'])}")
            cases = agree(other, this)
            take_turns(other, this, cases)
        except KeyboardInterrupt:
            print("\nstopped; every finished job is kept")
            print(f"to go on: {program()} {shlex.join(sys.argv[1:])}")
            raise
    print(f"runs: {other.folder.name} (before), {this.folder.name} (after)\n")
    return other.folder, this.folder, frozenset(cases)


def asked_of(options: Namespace) -> Asked:
    """Gather from the options of `run` what they ask to measure."""
    return Asked(
        preset=options.preset,
        suites=options.suites,
        where=options.where,
        changes=options.set,
        own_text=any(text.startswith("text=") for text in options.data),
        n_seeds=options.seeds,
    )


def read_timeout(options: Namespace) -> float:
    """Read the seconds that a job may take. Raises ValueError unless they are positive."""
    if options.timeout is None:
        return DEFAULT_TIMEOUT_S[options.preset]
    if not options.timeout > 0:
        raise ValueError(f"--timeout is {options.timeout}; it must be a positive number of seconds")
    return float(options.timeout)


def read_retry(text: str) -> tuple[str, ...]:
    """Read the statuses in "oom,timeout". Raises ValueError on an unknown one."""
    statuses = tuple(part.strip() for part in text.split(",") if part.strip())
    for status in statuses:
        refuse_unknown(status, (*RETRYABLE, DISTURBED), "status in --retry")
    return statuses


def measure(sweep: Sweep, executor: Local) -> int:
    """Run a sweep and say what was done and what failed; return the exit code."""
    backlog = sweep.backlog
    name, code, before = backlog.plan.name, 0, set(backlog.records)
    if {r["code"]["hash"] for r in backlog.records.values()} - {backlog.code["hash"]}:
        print("note: the measured code has changed since this run began; records carry its hash")
    if backlog.n_outdated:
        print(
            f"note: {backlog.n_outdated} measurements of unfinished cases are of other code and "
            "are made again"
        )
    try:
        with make_progress(backlog, executor.n_trainings, executor.n_sweeps) as progress:
            sweep.run(progress)
    except KeyboardInterrupt:
        print(f"\nstopped; {n_measurements(backlog)} measurements are kept")
        code = INTERRUPTED
    print(f"run {name}: {counts(backlog)}; {len(backlog.records) - len(before)} records are new")
    print_results(backlog, before, width_of_terminal())
    print_failures(backlog)
    print_mispredictions(backlog)
    return code or (SOMETHING_FAILED if has_failures(backlog) else 0)


def program() -> str:
    """Return how this program was called, for lines that say what to type next."""
    called = Path(sys.argv[0])
    if called.name == "run_bench.py":
        return f"python {shlex.quote(sys.argv[0])}"
    return called.name if called.name == CONSOLE_SCRIPT else "python run_bench.py"


def dry_run(
    folder: RunFolder,
    plan: Plan,
    question: Question,
    retry: tuple[str, ...],
    model: str | None,
    n_trainings: int | None = None,
) -> int:
    """Print the cases, what is already there, and the predicted time and memory.

    Measures nothing but the machine's speed; refuses what `run` refuses, except missing data.
    model: of time, printed besides (sweep/cards.py). n_trainings: at once, if asked for.
    """
    asked_for = frozenset(plan.entries)
    probe_machine(plan, without_missing_data(question))
    plan = joined(folder, plan)
    backlog = Backlog(folder, plan, Choice(cases=asked_for, retry=retry))
    estimates = Estimates(backlog, n_trainings or trainings_side_by_side(plan.device))
    print_cases(backlog, estimates)
    if model:
        require(model != "cpu" or plan.device == "cpu", "--device-model cpu goes with --device cpu")
        print_on_device(backlog, time_model(model, plan.gflops))
    return 0


def status(options: Namespace) -> int:
    """Print what is done, what failed and why, what is left, and how long that will take."""
    folder = find_run(options.name)
    plan = folder.plan()
    if plan is None:
        raise ValueError(f"run {folder.name!r} has no plan; measure it again")
    backlog = Backlog(folder, plan)
    left = backlog.open_jobs()
    n_cases = len({job.case_id for job in left})
    n_jobs = sum(len(backlog.known_jobs(case_id)) for case_id in backlog.cases)
    print(f"run {plan.name} (preset {plan.preset}, {len(plan.entries)} cases): {counts(backlog)}")
    print(f"done: {n_jobs - len(left)} of {n_jobs} processes")
    print_failures(backlog)
    estimates = Estimates(backlog, trainings_side_by_side(plan.device))
    print(
        f"left: {len(left)} processes of {n_cases} cases, {estimates.left_in_words(left)}"
        if left
        else "left: nothing"
    )
    return 0


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "list": list_suites,
    "run": run,
    "status": status,
    "doctor": lambda _: examine(),
}
