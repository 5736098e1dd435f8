"""What each command of run_bench.py does; each takes the parsed options and returns an exit code.
No torch.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from reformer.checks import refuse_unknown
from suites.base import PRESETS
from suites.engine.failures import RETRYABLE
from suites.engine.job import Question
from suites.engine.store.runs import RUNS, Plan, RunFolder, extend, find_run
from suites.engine.sweep.estimates import Estimates, in_words
from suites.engine.sweep.executors.local import run_in_process, start_fork_server
from suites.engine.sweep.planning import (
    DEFAULT_TIMEOUT_S,
    check_current,
    find_suites,
    make_plan,
    parse_data,
)
from suites.engine.sweep.prediction import predict_memory
from suites.engine.sweep.progress import make_progress
from suites.engine.sweep.scheduler import Options, Sweep
from suites.engine.sweep.summary import print_failures, print_mispredictions, summary

PROBE = "suites.engine.measure.worker:probe"
INTERRUPTED = 130


def list_suites(options: Namespace) -> int:
    """Every suite: its question, cases per preset, seconds measured last."""
    suites = find_suites()
    width = max(map(len, suites), default=0)
    for name, suite in suites.items():
        counts = [f"{p} {len(suite.cases(p))}" for p in PRESETS if p in suite.presets]
        print(f"{name:{width}}  {suite.question}")
        print(f"{'':{width}}  cases: {', '.join(counts)}; measured last: {last_measured(name)}")
    return 0


def last_measured(suite: str) -> str:
    """The run that measured a suite last, and how long it took."""
    for plan in sorted(RUNS.glob("*/plan.json"), key=lambda p: p.stat().st_mtime, reverse=True):
        records = [r for r in RunFolder(plan.parent.name).read_records() if suite in r["suites"]]
        if records:
            return f"{in_words(sum(r['wall_s'] for r in records))} in run {plan.parent.name}"
    return "never"


def run(options: Namespace) -> int:
    """Measure what a run lacks."""
    suites = find_suites()
    name = options.run or options.preset
    folder = RunFolder(name)
    asked = make_plan(name, options.suites, options.preset, options.seeds, options.where, suites)
    tasks = tuple(sorted({e.case.settings.task for e in asked.entries.values() if not e.case.skip}))
    settings = Options(
        timeout_s=read_timeout(options),
        retry=read_retry(options.retry),
        prune=options.prune,
        data=absolute(parse_data(options.data, tasks)),
    )
    question = Question(
        device=options.device, tasks=tasks, data=settings.data, download=options.download
    )
    if options.dry_run:
        return dry_run(folder, asked, settings, question)
    start_fork_server()
    with folder.locked():
        plan = folder.read_plan()
        if plan is not None:
            check_current(plan, suites)
        probe_machine(folder.log_path("probe"), asked, question)
        if plan is None:
            plan = asked
        else:
            extend(plan, asked)
        folder.write_plan(plan)
        return measure(Sweep(folder, plan, settings, set(asked.entries)))


def read_timeout(options: Namespace) -> float:
    """Seconds that a job may take."""
    if options.timeout is None:
        return DEFAULT_TIMEOUT_S[options.preset]
    if not options.timeout > 0:
        raise ValueError(f"--timeout is {options.timeout}; it must be a positive number of seconds")
    return float(options.timeout)


def read_retry(text: str) -> tuple[str, ...]:
    """The statuses in "oom,timeout"."""
    statuses = tuple(part.strip() for part in text.split(",") if part.strip())
    for status in statuses:
        refuse_unknown(status, RETRYABLE, "status in --retry")
    return statuses


def absolute(paths: dict[str, str]) -> dict[str, str]:
    """Paths that mean the same in another process."""
    return {name: str(Path(path).expanduser().resolve()) for name, path in paths.items()}


def probe_machine(log: Path, plan: Plan, question: Question) -> None:
    """Fill in the plan's device, identity and speed. Raises ValueError where a device or data is
    missing.
    """
    found = run_in_process(PROBE, question, log=log, limit_memory=False)
    if found.failure:
        raise ValueError(f"cannot start measuring: {found.failure.reason}")
    if "refusal" in found.result:
        raise ValueError(found.result["refusal"])
    plan.device, plan.identity = found.result["device"], found.result["identity"]
    plan.gflops = found.result["gflops"]
    print(f"LSH attention by kernel {found.result['kernel']} on {plan.device}")


def measure(sweep: Sweep) -> int:
    """Run a sweep and say what was done, what failed and what comes next."""
    name = sweep.plan.name
    code = 0
    n_before = len(sweep.records)
    changed = {r["code"]["hash"] for r in sweep.records.values()} - {sweep.code["hash"]}
    if changed:
        print("note: the measured code has changed since this run began; records carry its hash")
    if sweep.n_outdated:
        print(
            f"note: {sweep.n_outdated} measurements of unfinished cases are of other code and are "
            "made again"
        )
    try:
        with make_progress(sweep) as progress:
            sweep.run(progress)
    except KeyboardInterrupt:
        print(f"\nstopped; to go on: python run_bench.py {' '.join(sys.argv[1:])}")
        code = INTERRUPTED
    print(f"run {name}: {summary(sweep)}; {len(sweep.records) - n_before} records are new")
    print_failures(sweep)
    print_mispredictions(sweep)
    if code == 0:
        print(f"next: python run_bench.py report {name}")
    return code


def dry_run(folder: RunFolder, asked: Plan, settings: Options, question: Question) -> int:
    """Cases, what is already there, predicted time and memory; measures nothing but the machine's
    speed, and refuses what `run` would refuse.
    """
    plan = folder.read_plan()
    if plan is not None:
        check_current(plan, find_suites())
    probe_machine(Path(os.devnull), asked, question)
    if plan is None:
        plan = asked
    else:
        extend(plan, asked)
    sweep = Sweep(folder, plan, settings, set(asked.entries))
    left = sweep.open_jobs()
    estimates = Estimates(sweep)
    print(f"{'case':12}  {'done':>5}  {'left':>7}  {'peak MiB':>8}  what")
    for case_id, case in sweep.cases.items():
        jobs = sweep.jobs[case_id]
        own = [job for job in left if job.case == case_id]
        peak = "" if case.skip else f"{predict_memory(case.settings).peak / 2**20:.0f}"
        done = "skip" if case.skip else f"{len(jobs) - len(own)}/{len(jobs)}"
        words = in_words(estimates.total(own))
        print(f"{case_id:12}  {done:>5}  {words:>7}  {peak:>8}  {case.skip or case.label}")
    n_done = sum(map(len, sweep.jobs.values())) - len(left)
    print(
        f"run {plan.name}: {len(sweep.cases)} cases, {len(left)} processes to run, {n_done} done; "
        f"predicted time {in_words(estimates.total(left))} on {plan.device}"
    )
    return 0


def status(options: Namespace) -> int:
    """Done, failed and why, left, time left from measured durations."""
    folder = find_run(options.name)
    plan = folder.read_plan()
    if plan is None:
        raise ValueError(f"run {folder.name!r} has no plan; measure it again")
    sweep = Sweep(folder, plan, Options())
    left = sweep.open_jobs()
    n_cases = len({job.case for job in left})
    n_jobs = sum(map(len, sweep.jobs.values()))
    print(f"run {plan.name} (preset {plan.preset}, {len(plan.entries)} cases): {summary(sweep)}")
    print(f"done: {n_jobs - len(left)} of {n_jobs} processes")
    print_failures(sweep)
    words = in_words(Estimates(sweep).total(left))
    print(
        f"left: {len(left)} processes of {n_cases} cases, about {words}"
        if left
        else "left: nothing"
    )
    return 0


def doctor(options: Namespace) -> int:
    """The machine, its fitness, the ruler."""
    from suites.engine.sweep.doctor import examine

    return examine()


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "list": list_suites,
    "run": run,
    "status": status,
    "doctor": doctor,
}
