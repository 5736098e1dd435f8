"""Before a sweep: ask what the machine is and has, and join what is asked to the run. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from baselines.config import PEERS
from reformer.checks import is_own
from suites.engine.code import ROOT, code_state
from suites.engine.job import Question
from suites.engine.store.names import expanded
from suites.engine.store.plan import Plan, extend
from suites.engine.store.runs import RunFolder
from suites.engine.sweep.executors.in_turns import PROTOCOL, Channel
from suites.engine.sweep.executors.local import run_in_process
from suites.engine.sweep.key_values import data_paths
from suites.engine.sweep.planning import find_suites, left_behind
from suites.settings import METHOD_VERSION, NEED_DATA

PROBE = "suites.engine.measure.probe:probe"


def question_of(plan: Plan, device: str, data: Sequence[str], download: bool) -> Question:
    """Put together what must be asked of the machine: the plan's data and attentions to import.

    data: "task=path", as `--data` has it. Raises ValueError if the plan has no such task.
    """
    lengths: dict[str, int] = {}
    evaluated: dict[str, int] = {}
    attentions = set()
    for settings in (e.case.settings for e in plan.entries.values() if not e.case.skip):
        if is_own(settings.attention) or settings.attention in PEERS:
            attentions.add(settings.attention)
        if settings.subject == "model":
            lengths[settings.task] = max(settings.length, lengths.get(settings.task, 0))
        if "quality" in settings.measures:
            evaluated[settings.task] = max(settings.length, evaluated.get(settings.task, 0))
    paths = {task: path_of(task, path) for task, path in data_paths(data, lengths).items()}
    return Question(
        device=device,
        lengths=lengths,
        evaluated=evaluated,
        attentions=tuple(sorted(attentions)),
        data=paths,
        download=download,
    )


def path_of(task: str, text: str) -> str:
    """Return the path of a task's data.

    Raises ValueError for what may be read without end, or only once. A user's own task may be given
    anything; what is not there, the task itself refuses.
    """
    path = expanded(text).resolve()
    is_special = path.exists() and not path.is_file() and not path.is_dir()
    if task in NEED_DATA and is_special:
        raise ValueError(
            f"--data {task}={text} is a pipe or a device, which every process would read; write "
            "its content into a file and give that"
        )
    return str(path)


def without_missing_data(question: Question) -> Question:
    """Leave out the tasks whose data is not given, and say so: a dry run does without."""
    missing = [t for t in question.lengths if t in NEED_DATA and t not in question.data]
    for task in missing:
        print(f"note: to run, task {task!r} needs its data: --data {task}=PATH")
    lengths = {task: n for task, n in question.lengths.items() if task not in missing}
    return replace(question, lengths=lengths, download=False)


def probe_machine(plan: Plan, question: Question) -> str:
    """Fill in the plan's device, identity, versions and speed; returns the native kernel's library.

    Cases for which the machine has no instructions are skipped.
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
    if found.get("root") != str(ROOT):
        raise ValueError(
            f"the processes that measure run other code, in {found.get('root')}, than this program "
            f"in {ROOT}; start it without -I and -E, or install it from here: pip install -e {ROOT}"
        )
    if found["code"] != code_state(found["device"])["hash"]:
        raise ValueError("the measured code changed while the run was starting; start it again")
    plan.device, plan.identity, plan.gflops = found["device"], found["identity"], found["gflops"]
    plan.versions = found["versions"]
    skip_lacking(plan, found["lacks"])
    print(f"LSH attention by kernel {found['kernel']} on {plan.device}")
    return str(found["library"])


def skip_lacking(plan: Plan, lacks: Mapping[str, str]) -> None:
    """Skip the cases in a precision that the machine only imitates; lacks: why, by precision."""
    for case_id, entry in plan.entries.items():
        why = lacks.get(entry.case.settings.precision)
        if why and not entry.case.skip:
            plan.entries[case_id] = replace(entry, case=replace(entry.case, skip=why))


def keep_common(plan: Plan, channel: Channel) -> None:
    """Leave in the plan the cases that the other checkout has too, in the order of both."""
    labels = plan.labels()
    greeting = {
        "protocol": PROTOCOL,
        "root": str(ROOT),
        "method": METHOD_VERSION,
        "code": code_state(plan.device),
        "identity": plan.identity,
        "cases": {case_id: labels[case_id] for case_id in plan.entries},
    }
    common = channel.ask(greeting)["cases"]
    plan.entries = {case_id: plan.entries[case_id] for case_id in common}


def joined(folder: RunFolder, asked: Plan) -> Plan:
    """The plan of a run with what is asked added to it. Raises ValueError if it cannot be added."""
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
