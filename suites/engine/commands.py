"""These functions do what the commands list, run, status and doctor of run_bench.py ask for.

Each takes the parsed options and returns an exit code. No torch.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from baselines.config import PEERS
from reformer.checks import is_own, refuse_unknown
from suites.base import PRESETS
from suites.engine.code import code_state
from suites.engine.failures import RETRYABLE
from suites.engine.job import Question
from suites.engine.store.plan import Plan, extend
from suites.engine.store.runs import RunFolder, all_runs, find_run, run_folder
from suites.engine.sweep.backlog import Backlog, Choice
from suites.engine.sweep.doctor import PROBE, examine
from suites.engine.sweep.estimates import Estimates, in_words
from suites.engine.sweep.executors.local import (
    Local,
    run_in_process,
    start_fork_server,
    trainings_side_by_side,
)
from suites.engine.sweep.key_values import data_paths
from suites.engine.sweep.planning import (
    DEFAULT_TIMEOUT_S,
    Asked,
    find_suites,
    left_behind,
    make_plan,
)
from suites.engine.sweep.prediction import predicted_peak
from suites.engine.sweep.progress import make_progress
from suites.engine.sweep.scheduler import Sweep
from suites.engine.sweep.summary import (
    counts,
    has_failures,
    n_measurements,
    print_failures,
    print_mispredictions,
)
from suites.settings import NEED_DATA

SOMETHING_FAILED = 1
INTERRUPTED = 130


def list_suites(options: Namespace) -> int:
    """Print every suite, its question and cases per preset, and every run with what is done."""
    suites, runs = find_suites(), all_runs()
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
    question = question_of(plan, options)
    timeout_s, retry = read_timeout(options), read_retry(options.retry)
    if options.dry_run:
        return dry_run(folder, plan, question, retry)
    start_fork_server()
    with folder.locked():
        asked_for = frozenset(plan.entries)
        library = probe_machine(plan, question)
        plan = joined(folder, plan)
        folder.write_plan(plan)
        choice = Choice(cases=asked_for, retry=retry, data=question.data, library=library)
        executor = Local(plan.device, folder.log_path, timeout_s)
        return measure(Sweep(Backlog(folder, plan, choice), executor, options.prune), executor)


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


def question_of(plan: Plan, options: Namespace) -> Question:
    """Gather what a plan needs of the machine: its tasks' data, and attentions to import."""
    lengths: dict[str, int] = {}
    attentions = set()
    for settings in (e.case.settings for e in plan.entries.values() if not e.case.skip):
        if is_own(settings.attention) or settings.attention in PEERS:
            attentions.add(settings.attention)
        if settings.subject == "model":
            lengths[settings.task] = max(settings.length, lengths.get(settings.task, 0))
    data = {
        task: str(Path(path).expanduser().resolve())
        for task, path in data_paths(options.data, lengths).items()
    }
    return Question(
        device=options.device,
        lengths=lengths,
        attentions=tuple(sorted(attentions)),
        data=data,
        download=options.download,
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
        refuse_unknown(status, RETRYABLE, "status in --retry")
    return statuses


def probe_machine(plan: Plan, question: Question) -> str:
    """Fill in the plan's device, identity, versions and speed; return the native kernel's library.

    Raises ValueError where a device, a package or data is missing.
    """
    with TemporaryDirectory() as folder:
        log = Path(folder) / "probe.txt"
        outcome = run_in_process(PROBE, question, log=log, limit_memory=False)
    if outcome.failure:
        raise ValueError(f"cannot start measuring: {outcome.failure.reason}")
    found = outcome.result
    if "refusal" in found:
        raise ValueError(found["refusal"])
    if found["code"] != code_state()["hash"]:
        raise ValueError("the measured code changed while the run was starting; start it again")
    plan.device, plan.identity, plan.gflops = found["device"], found["identity"], found["gflops"]
    plan.versions = found["versions"]
    print(f"LSH attention by kernel {found['kernel']} on {plan.device}")
    return str(found["library"])


def joined(folder: RunFolder, asked: Plan) -> Plan:
    """Return the plan of a run with what is asked added. Raises ValueError if it cannot be."""
    plan = folder.plan()
    if plan is None:
        return asked
    extend(plan, asked)
    lost = [case_id for case_id in left_behind(plan, find_suites()) if case_id not in asked.entries]
    if lost:
        print(
            f"note: {len(lost)} cases of this run's plan are in no suite as it stands now; they "
            "stay in the plan, and what was measured of them stays in the report"
        )
    return plan


def measure(sweep: Sweep, executor: Local) -> int:
    """Run a sweep and say what was done, what failed and what comes next; return the exit code."""
    backlog = sweep.backlog
    name, code = backlog.plan.name, 0
    n_before = len(backlog.records)
    if {r["code"]["hash"] for r in backlog.records.values()} - {backlog.code["hash"]}:
        print("note: the measured code has changed since this run began; records carry its hash")
    if backlog.n_outdated:
        print(
            f"note: {backlog.n_outdated} measurements of unfinished cases are of other code and "
            "are made again"
        )
    try:
        with make_progress(backlog, executor.n_trainings) as progress:
            sweep.run(progress)
    except KeyboardInterrupt:
        words = " ".join(sys.argv[1:])
        print(f"\nstopped; {n_measurements(backlog)} measurements are kept")
        print(f"to go on: python run_bench.py {words}")
        code = INTERRUPTED
    print(f"run {name}: {counts(backlog)}; {len(backlog.records) - n_before} records are new")
    print_failures(backlog)
    print_mispredictions(backlog)
    if code == INTERRUPTED:
        return code
    print(f"next: python run_bench.py report {name}")
    return SOMETHING_FAILED if has_failures(backlog) else 0


def dry_run(folder: RunFolder, plan: Plan, question: Question, retry: tuple[str, ...]) -> int:
    """Print the cases, what is already there, and the predicted time and memory.

    Measures nothing but the machine's speed; refuses what `run` refuses, except missing data.
    """
    lengths = {
        task: length
        for task, length in question.lengths.items()
        if task not in NEED_DATA or task in question.data
    }
    for task in sorted(question.lengths.keys() - lengths.keys()):
        print(f"note: to run, task {task!r} needs its data: --data {task}=PATH")
    asked_for = frozenset(plan.entries)
    probe_machine(plan, without_missing_data(question, lengths))
    plan = joined(folder, plan)
    backlog = Backlog(folder, plan, Choice(cases=asked_for, retry=retry))
    print_cases(backlog)
    return 0


def without_missing_data(question: Question, lengths: Mapping[str, int]) -> Question:
    """Return the question without the tasks whose data is not given."""
    return Question(
        device=question.device,
        lengths=lengths,
        attentions=question.attentions,
        data=question.data,
    )


def print_cases(backlog: Backlog) -> None:
    """Print a line per case, and how long all of them will take."""
    left = backlog.open_jobs()
    estimates = Estimates(backlog, trainings_side_by_side(backlog.plan.device))
    print(f"{'case':12}  {'done':>5}  {'left':>7}  {'peak MiB':>8}  what")
    for case_id, case in backlog.cases.items():
        jobs = backlog.jobs[case_id]
        own = [job for job in left if job.case_id == case_id]
        predicted = None if case.skip else predicted_peak(case.settings)
        peak = "" if predicted is None else f"{predicted / 2**20:.0f}"
        done = "skip" if case.skip else f"{len(jobs) - len(own)}/{len(jobs)}"
        words, name = in_words(estimates.total(own)), backlog.names[case_id]
        what = f"{name}: {case.skip}" if case.skip else name
        print(f"{case_id:12}  {done:>5}  {words:>7}  {peak:>8}  {what}")
    n_done = sum(map(len, backlog.jobs.values())) - len(left)
    print(
        f"run {backlog.plan.name}: {len(backlog.cases)} cases, {len(left)} processes to run, "
        f"{n_done} done; predicted time {in_words(estimates.total(left))} on {backlog.plan.device}"
    )


def status(options: Namespace) -> int:
    """Print what is done, what failed and why, what is left, and how long that will take."""
    folder = find_run(options.name)
    plan = folder.plan()
    if plan is None:
        raise ValueError(f"run {folder.name!r} has no plan; measure it again")
    backlog = Backlog(folder, plan)
    left = backlog.open_jobs()
    n_cases = len({job.case_id for job in left})
    n_jobs = sum(map(len, backlog.jobs.values()))
    print(f"run {plan.name} (preset {plan.preset}, {len(plan.entries)} cases): {counts(backlog)}")
    print(f"done: {n_jobs - len(left)} of {n_jobs} processes")
    print_failures(backlog)
    seconds = Estimates(backlog, trainings_side_by_side(plan.device)).total(left)
    print(
        f"left: {len(left)} processes of {n_cases} cases, about {in_words(seconds)}"
        if left
        else "left: nothing"
    )
    return 0


def doctor(options: Namespace) -> int:
    """Check that the machine can be measured, whether it is quiet, and that the ruler is right."""
    return examine()


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "list": list_suites,
    "run": run,
    "status": status,
    "doctor": doctor,
}
