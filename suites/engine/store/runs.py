"""A run on disk, results/runs/NAME: the frozen plan, the lines of finished jobs, the records, the
lock. No torch.

plan.json       what is to be measured: preset, seeds, device, identity of the machine, every case
jobs.jsonl      one line per finished job (suites.engine.sweep.ledger), appended and synced
records.jsonl   one line per finished case and seed (records.py), appended and synced
logs/CASE.txt   what the case's processes printed
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reformer.checks import refuse_unknown
from suites.base import Case
from suites.engine.store.records import FORMAT, append_record, read_records
from suites.settings import METHOD_VERSION, SETTINGS, Settings

ROOT = Path(__file__).resolve().parents[3]
# The variable puts runs elsewhere, such as on a larger disk.
RUNS = Path(os.environ.get("REFORMER_RUNS", ROOT / "results" / "runs"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A case of a plan, and the suites in which it stands."""

    case: Case
    suites: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a run measures; `entries` by case id, in order."""

    name: str
    preset: str
    seeds: list[int]
    device: str
    entries: dict[str, Entry] = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=dict)
    gflops: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data for plan.json."""
        return {
            "format": FORMAT,
            "method": METHOD_VERSION,
            "name": self.name,
            "preset": self.preset,
            "seeds": self.seeds,
            "device": self.device,
            "identity": self.identity,
            "gflops": self.gflops,
            "cases": [
                {
                    "id": case_id,
                    "label": entry.case.label,
                    "suites": list(entry.suites),
                    "skip": entry.case.skip,
                    "settings": asdict(entry.case.settings),
                }
                for case_id, entry in self.entries.items()
            ],
        }


def plan_from_json(content: Mapping[str, Any]) -> Plan:
    """The plan in a plan.json. Raises ValueError when the code no longer makes the same cases of
    it.
    """
    name = content["name"]
    if content["method"] != METHOD_VERSION:
        raise ValueError(
            f"run {name!r} was planned with method version {content['method']}, this code has "
            f"{METHOD_VERSION}: its numbers cannot be continued; use another --run name"
        )
    entries = {}
    for row in content["cases"]:
        case = Case(settings=settings_from_json(row["settings"], name), skip=row["skip"])
        if case.id != row["id"]:
            raise ValueError(
                f"the plan of run {name!r} no longer matches the code: case {row['id']} "
                f"({row['label']}) would now be {case.id}; use another --run name"
            )
        entries[case.id] = Entry(case=case, suites=tuple(row["suites"]))
    return Plan(
        name=name,
        preset=content["preset"],
        seeds=content["seeds"],
        device=content["device"],
        entries=entries,
        identity=content["identity"],
        gflops=content["gflops"],
    )


def settings_from_json(values: Mapping[str, Any], run: str) -> Settings:
    """Settings out of JSON, where tuples have become lists. Raises ValueError if the code has other
    settings.
    """
    for name in values:
        if name not in SETTINGS:
            raise ValueError(
                f"the plan of run {run!r} no longer matches the code: there is no setting "
                f"{name!r} any more; use another --run name"
            )
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Settings(**plain)


def extend(old: Plan, new: Plan) -> None:
    """Add the seeds, suites and cases of `new` to `old`. Raises ValueError where the two
    contradict.
    """
    if old.preset != new.preset:
        raise ValueError(
            f"run {old.name!r} has preset {old.preset!r}, asked for was {new.preset!r}; "
            "use another --run name"
        )
    for name in sorted(old.identity.keys() | new.identity.keys()):
        before, after = old.identity.get(name), new.identity.get(name)
        if before != after:
            raise ValueError(
                f"run {old.name!r} was measured with {name} {before!r}, here it is {after!r}; "
                "use another --run name, or the same machine and versions"
            )
    old.seeds = sorted({*old.seeds, *new.seeds})
    for case_id, entry in new.entries.items():
        before_entry = old.entries.get(case_id)
        suites = (*before_entry.suites, *entry.suites) if before_entry else entry.suites
        old.entries[case_id] = Entry(case=entry.case, suites=tuple(dict.fromkeys(suites)))


class RunFolder:
    """The files of one run. Every failure to write is an OSError that says what is kept."""

    def __init__(self, name: str, runs: Path = RUNS) -> None:
        if not name or name != Path(name).name or name.startswith("."):
            raise ValueError(
                f"run name {name!r} is not a plain folder name; use letters and digits"
            )
        self.name, self.path = name, runs / name
        self.plan_path, self.jobs_path = self.path / "plan.json", self.path / "jobs.jsonl"
        self.records_path = self.path / "records.jsonl"

    def log_path(self, case_id: str) -> Path:
        """Where the processes of a case print."""
        return self.path / "logs" / f"{case_id}.txt"

    def read_plan(self) -> Plan | None:
        """The frozen plan, if there is one. Raises ValueError if damaged or of other code."""
        try:
            content = json.loads(self.plan_path.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(
                f"{self.plan_path} is damaged ({error}); use another --run name"
            ) from None
        try:
            return plan_from_json(content)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{self.plan_path} is not a plan of this suite ({type(error).__name__}: {error}); "
                "use another --run name"
            ) from None

    def write_plan(self, plan: Plan) -> None:
        """Replace the plan in one step, so that a kill leaves the old one or the new one."""
        with self._sentence():
            draft = self.plan_path.with_suffix(".tmp")
            with draft.open("w") as file:
                json.dump(plan.to_json(), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.plan_path)

    def append_job(self, line: Mapping[str, Any]) -> None:
        """Append and sync a finished job."""
        with self._sentence():
            append_record(self.jobs_path, dict(line))

    def append_record(self, record: Mapping[str, Any]) -> None:
        """Append and sync a finished record."""
        with self._sentence():
            append_record(self.records_path, dict(record))

    def read_jobs(self) -> list[dict[str, Any]]:
        """All whole lines of jobs.jsonl."""
        return read_records(self.jobs_path)

    def read_records(self) -> list[dict[str, Any]]:
        """The newest record of each case and seed, in the order of their first writing."""
        return list({(r["case"], r["seed"]): r for r in read_records(self.records_path)}.values())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run alone. Raises ValueError if another process holds it; makes the folder."""
        with self._sentence():
            (self.path / "logs").mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a+")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise ValueError(
                    f"run {self.name!r} is being measured by process {file.read().strip() or '?'}; "
                    "wait for it, or use another --run name"
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    @contextmanager
    def _sentence(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                f"cannot write to {self.path}: {error.strerror}; everything measured before "
                "is kept, and the same command goes on from there"
            ) from error


def find_run(name: str | None, runs: Path = RUNS) -> RunFolder:
    """The run of that name, or without a name the one measured last. Raises ValueError if there is
    none.
    """
    found = sorted(runs.glob("*/plan.json"), key=lambda path: last_change(path.parent))
    names = [path.parent.name for path in found]
    if not names:
        asked = f"run {name!r}" if name else "run"
        raise ValueError(f"there is no {asked} in {runs}; start one with: python run_bench.py run")
    if name is not None:
        refuse_unknown(name, names, "run")
    return RunFolder(name or names[-1], runs)


def last_change(folder: Path) -> float:
    """When a run last grew, in seconds since 1970."""
    return max(path.stat().st_mtime for path in folder.glob("*.json*"))


def shorten(path: Path) -> str:
    """Relative to the repository where that is shorter."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
