"""Records and the lines of jobs have a format, and are read and appended line by line. No torch.

A record is what a case and seed measured on one machine; a line is what one job of it found. Both
are one JSON object per line of a file. A missing or null part was not measured; a failed case keeps
what was measured before. Reading skips what is no such line, and says where.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Literal, NotRequired, TypedDict, TypeVar, cast, get_type_hints

from suites.engine.code import Code
from suites.engine.store.analyses import Analyses
from suites.engine.store.lines import read_lines
from suites.engine.store.names import misfit_of_name
from suites.engine.store.shapes import misfit
from suites.settings import Settings

FORMAT = 2
SETTING_TYPES = get_type_hints(Settings)
Status = Literal["ok", "skipped", "oom", "timeout", "crash", "diverged"]

# A predicted peak further off than this share is worth a warning.
PREDICTED_WITHIN = 0.3


class Process(TypedDict):
    """A process of a timing has samples of each part of the step, and of the whole.

    The parts are "forward", "backward" and "optimizer"; "step" is their sum. first_ms: of the first
    call. samples_ms: every sample in the order in which it was taken. steady: did warm-up end
    because two windows were alike? stopped_by: "interval" if the median is known to 2 %, "budget"
    if the time was spent, "long" if a step takes over a minute, so that one call, the first that
    compiled nothing, is the only sample. disturbed: was there foreign load meanwhile? readings:
    load average, clocks, foreign cores, free memory, ... beside the samples.
    """

    first_ms: dict[str, float]
    samples_ms: dict[str, list[float]]
    steady: bool
    stopped_by: str
    disturbed: bool
    readings: dict[str, Any]


class Time(TypedDict):
    """A timing has one or more processes.

    stopped_by: "long" if any process was, else "budget" if any was. grown_until: what ended its
    growth by processes, "interval" if the 95 % interval reaches no further than `within` of the
    median, "limit" if there were as many as there may be, "long" if so few do for so long a step,
    "failure". replaced: disturbed timings that were measured again, no part of `processes`.
    """

    processes: list[Process]
    stopped_by: str
    grown_until: NotRequired[str]
    within: NotRequired[float]
    replaced: NotRequired[list[Process]]


class Memory(TypedDict):
    """The memory of one step is told in bytes.

    peak_bytes: of the process, the interpreter subtracted, on CUDA of the allocator; rest_bytes:
    the same less weights, gradients and optimizer state, so activations and workspace.
    live_peak_bytes: of the storage behind live tensors, the same on every machine; live_rest_bytes:
    the same less what was alive before the step. predicted_bytes: what live_peak_bytes should be by
    formula. baseline_bytes: of the process or the allocator before the step. reserved_bytes: CUDA
    only, what the allocator held of the device at most. method: "vmhwm", "allocator", "sampled".
    """

    peak_bytes: float
    rest_bytes: float
    live_peak_bytes: float
    live_rest_bytes: NotRequired[float]
    predicted_bytes: NotRequired[float]
    weights_bytes: float
    gradients_bytes: float
    optimizer_bytes: float
    baseline_bytes: float
    reserved_bytes: NotRequired[float]
    method: str


class Quality(TypedDict):
    """The quality of a model is what its training led to.

    bits_per_dim: held-out cross-entropy / ln 2; accuracy: share of held-out symbols predicted
    right. curve: [step, held-out bits per dim], the last at the end of training; curve_s: seconds
    of training up to each of its points, evaluations not counted, unless it shared a GPU with
    others; train_curve: as curve, from the training loss. evaluated_with: {"1": {"bits_per_dim",
    "accuracy"}, ..., "full"}, the same weights with other numbers of hash rounds, or with full
    attention. analyses: what else was looked at, by name. data: what suites.tasks says of the data.
    threads: of the training process.
    """

    bits_per_dim: float
    accuracy: float
    curve: list[list[float]]
    curve_s: NotRequired[list[float]]
    train_curve: list[list[float]]
    evaluated_with: dict[str, dict[str, float]]
    analyses: NotRequired[Analyses]
    heldout_tokens: float
    train_tokens: float
    data: dict[str, Any]
    threads: NotRequired[float]


class JobEntry(TypedDict):
    """An entry tells how a job went, beside the part that it measured.

    kind: one of suites.settings.MEASURES. index: which process of a timing. gflops: the speed of
    this very process in a matrix product, on a GPU in the case's precision, and copy_gbs in copying
    there, GB/s read and written. started: ISO 8601 in UTC.
    """

    kind: Literal["time", "memory", "quality"]
    index: int
    status: Status
    reason: str
    started: str
    wall_s: float
    kernel: str
    gflops: NotRequired[float | None]
    copy_gbs: NotRequired[float | None]


class JobLine(JobEntry):
    """A line of jobs.jsonl is a finished job whose record is not complete yet."""

    case: str
    seed: int
    code: NotRequired[Code]
    identity: NotRequired[dict[str, Any]]
    versions: NotRequired[dict[str, str]]
    part: dict[str, Any] | None


class RecordedJob(JobEntry):
    """This is a job in its record, `replaced` if it was disturbed and measured again."""

    replaced: NotRequired[bool]


class Record(TypedDict):
    """A line of records.jsonl is what a finished case and seed measured on one machine.

    method: version of the measuring method (suites.settings.METHOD_VERSION). case: the case's id.
    suites: those in which it stands. seed: of data order, initialisation and hashing. settings: the
    ones with an effect (Settings.measured). kernel: the attention that ran: "native", "sdpa", ...
    reason: for all but "ok", what is known, in one sentence. time, memory: only in the record of a
    case's first seed. identity: of the machine, what must agree for two numbers to be compared;
    versions: the same of what only this case uses (Plan.versions). started: ISO 8601 in UTC.
    wall_s: seconds in all its processes together. jobs: how each job went, from which together with
    the parts its lines can be made again.
    """

    format: int
    method: int | str
    case: str
    label: str
    suites: list[str]
    seed: int
    settings: dict[str, Any]
    kernel: str
    status: Status
    reason: str
    time: NotRequired[Time | None]
    memory: NotRequired[Memory | None]
    quality: NotRequired[Quality | None]
    jobs: NotRequired[list[RecordedJob]]
    identity: dict[str, Any]
    versions: NotRequired[dict[str, str]]
    code: Code
    started: str
    wall_s: float


RecordKey = tuple[str, int, str]
PARTS: dict[str, Any] = {"time": Process, "memory": Memory, "quality": Quality}
Line = TypeVar("Line")


def record_key(record: Record) -> RecordKey:
    """Return what tells records apart: case, seed, and the machine that measured."""
    return record["case"], record["seed"], json.dumps(record["identity"], sort_keys=True)


def part_of(record: Record, name: str) -> Mapping[str, Any]:
    """Return the part "time", "memory" or "quality" of a record; empty if it was not measured."""
    found: Mapping[str, Any] | None = cast(dict[str, Any], record).get(name)
    return found or {}


def read_records(path: Path) -> list[Record]:
    """Read the newest record of each case, seed and identity, in the order of their first writing.

    Raises ValueError on records of a newer format.
    """
    found = read_lines(path, misfit_of_record)
    return list({record_key(record): record for record in cast(list[Record], found)}.values())


def read_job_lines(path: Path) -> list[JobLine]:
    """Read all lines of finished jobs."""
    return cast(list[JobLine], read_lines(path, _misfit_of_job_line))


def mispredicted(memory: Mapping[str, Any] | None) -> float | None:
    """Return by which share of the measured peak the predicted one is too high, below 0 too low.

    None where it is within PREDICTED_WITHIN, or where nothing was measured or predicted.
    """
    found = memory or {}
    predicted, measured = (found.get(f"{name}_bytes") for name in ("predicted", "live_peak"))
    off = predicted / measured - 1 if predicted and measured else 0.0
    return off if abs(off) > PREDICTED_WITHIN else None


def misfit_of_record(content: Any) -> str:
    """Say why this is no record, "" if it is one. Raises ValueError if its format is newer."""
    version = content.get("format") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise ValueError(
            f"a record has format {version}, this version reads up to {FORMAT}; update the program"
        )
    problem = misfit(content, Record) or misfit_of_name(content["case"], "case")
    names = (misfit_of_name(name, "suite") for name in content["suites"]) if not problem else ()
    problem = problem or next(filter(None, names), "") or _misfit_of_settings(content["settings"])
    return (
        problem or _misfit_of_quality(content.get("quality") or {}) or _misfit_of_numbers(content)
    )


def _misfit_of_settings(settings: Mapping[str, Any]) -> str:
    """Say which setting has a value of another type; of settings unknown here nothing is said."""
    known = ((name, value) for name, value in settings.items() if name in SETTING_TYPES)
    found = (misfit(value, SETTING_TYPES[name], f"settings.{name}") for name, value in known)
    return next(filter(None, found), "")


def _misfit_of_quality(quality: Mapping[str, Any]) -> str:
    for rounds, found in quality.get("evaluated_with", {}).items():
        if "bits_per_dim" not in found:
            return f"quality.evaluated_with.{rounds} has no 'bits_per_dim'"
    seconds = quality.get("curve_s") or [0] * len(quality.get("curve", []))
    if len(seconds) != len(quality.get("curve", [])) or sorted(seconds) != [*seconds]:
        return "quality.curve_s are not the seconds of the points of quality.curve"
    reference = quality.get("data", {}).get("reference")
    return misfit(reference, dict[str, float] | None, "quality.data.reference")


def _misfit_of_numbers(record: Mapping[str, Any]) -> str:
    """Say which number cannot have been measured; "" if all can."""
    time, memory = record.get("time") or {}, record.get("memory") or {}
    for process in (*time.get("processes", ()), *time.get("replaced", ())):
        problem = _misfit_of_samples(process)
        if problem:
            return problem
    wrong = [name for name in ("peak_bytes", "live_peak_bytes") if memory.get(name, 0) < 0]
    return f"memory.{wrong[0]} is negative" if wrong else ""


def _misfit_of_samples(process: Mapping[str, Any]) -> str:
    for part, samples in process["samples_ms"].items():
        if samples and (min(samples) < 0 or not median(samples) > 0):
            return f"the samples of {part} are no durations: {min(samples)} to {max(samples)} ms"
    return ""


def _misfit_of_job_line(content: Any) -> str:
    problem = misfit(content, JobLine) or misfit_of_name(content["case"], "case")
    if problem or content["status"] != "ok":
        return problem
    part, kind = content["part"], content["kind"]
    problem = misfit(part, PARTS[kind], "part")
    return problem or (_misfit_of_samples(part) if kind == "time" else "")
