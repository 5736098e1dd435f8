"""A run is a folder results/runs/NAME: the plan, the records, the finished jobs, the lock.

    plan.json       what is to be measured: preset, seeds, device, identity of the machine, cases
    records.jsonl   one line per finished case and seed (records.py), appended and synced
    jobs.jsonl      one line per finished job of an unfinished case, appended and synced
    logs/CASE.txt   what the case's processes printed

No torch.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from reformer.checks import refuse_unknown
from suites.engine.code import ROOT
from suites.engine.store.lines import append_line, drop_lines, sync
from suites.engine.store.names import expanded, misfit_of_name, plain_name
from suites.engine.store.plan import Plan, plan_from_json
from suites.engine.store.records import (
    FORMAT,
    JobLine,
    Record,
    misfit_of_record,
    read_job_lines,
    read_records,
    record_key,
)

# The variable puts runs elsewhere, such as on a larger disk.
RUNS = expanded(os.environ.get("REFORMER_RUNS") or str(ROOT / "results" / "runs")).absolute()


class RunFolder:
    """A run folder reads and writes the files of one run.

    Every failure to write is an OSError that says what is kept.
    """

    def __init__(self, path: Path) -> None:
        self.name, self.path = path.name, path
        self.plan_path, self.jobs_path = path / "plan.json", path / "jobs.jsonl"
        self.records_path = path / "records.jsonl"

    def log_path(self, case_id: str) -> Path:
        """Return where the processes of a case print, which is in the run's folder."""
        return self.path / "logs" / f"{plain_name(case_id, 'case')}.txt"

    def plan(self) -> Plan | None:
        """Read the plan, if there is one, under the folder's name: folders are copied and renamed.

        Raises ValueError if it is damaged or newer.
        """
        try:
            content = json.loads(self.plan_path.read_bytes())
            version = content["format"]
            plan = plan_from_json(content) if not version > FORMAT else None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"{self.plan_path} is damaged or no plan ({type(error).__name__}: {error}); "
                "use another --run name"
            ) from None
        if plan is None:
            raise ValueError(
                f"{self.plan_path} has format {version}, this version reads up to {FORMAT}; "
                "update the program"
            )
        plan.name = self.name
        return plan

    def records(self) -> list[Record]:
        """Read the newest record of each case, seed and identity."""
        return read_records(self.records_path)

    def job_lines(self) -> list[JobLine]:
        """Read the finished jobs of cases that are not finished."""
        return read_job_lines(self.jobs_path)

    def write_plan(self, plan: Plan) -> None:
        """Replace the plan in one step, so that a kill leaves the old one or the new one."""
        with self._sentence():
            draft = self.plan_path.with_suffix(".tmp")
            with draft.open("w") as file:
                json.dump(plan.to_json(), file, indent=1, allow_nan=False)
                file.flush()
                sync(file)
            draft.replace(self.plan_path)

    def append_job(self, line: JobLine) -> None:
        """Append and sync a finished job."""
        with self._sentence():
            append_line(self.jobs_path, line)

    def append_record(self, record: Record) -> None:
        """Append and sync a finished record."""
        with self._sentence():
            append_line(self.records_path, record)

    def drop_superseded(self) -> None:
        """Drop the records whose samples stand in a newer one, and the jobs that stand in a record.

        So no sample is on disk twice, once the sweep has ended, and none is lost: what another code
        or version measured stays, though a newer record counts in its place.
        """
        records = self.records()
        newest = {record_key(record): record for record in records}
        recorded = {
            (record["case"], record["seed"], *(job[name] for name in ("kind", "index", "started")))
            for record in records
            for job in record.get("jobs", [])
        }
        names = ("case", "seed", "kind", "index", "started")
        drop_lines(self.jobs_path, lambda line: tuple(map(line.get, names)) in recorded)

        def is_superseded(line: Any) -> bool:
            if misfit_of_record(line) or "jobs" not in line:
                return False
            newer = newest[record_key(line)]
            kept = [job["started"] for job in newer.get("jobs", [])]
            good = [job["started"] for job in line["jobs"] if job["status"] == "ok"]
            return bool(newer != line and set(good) <= set(kept))

        drop_lines(self.records_path, is_superseded)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from measuring this run meanwhile; makes the folder.

        A folder that was made here and in which nothing was written is removed at the end. Raises
        ValueError if another process measures it.
        """
        is_new = not self.path.exists()
        with self._sentence():
            (self.path / "logs").mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a+")
        try:
            with file:
                self._lock(file)
                yield
        finally:
            if is_new and not self.plan_path.exists():
                self._remove_empty()

    def _lock(self, file: IO[str]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ValueError(
                f"run {self.name!r} is being measured by process {file.read().strip() or '?'}; "
                "wait for it, or use another --run name"
            ) from None
        except OSError:
            print(f"note: there are no locks on {self.path}: measure this run only once at a time")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()

    def _remove_empty(self) -> None:
        with suppress(OSError):
            (self.path / ".lock").unlink()
            (self.path / "logs").rmdir()
            self.path.rmdir()

    @contextmanager
    def _sentence(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                f"cannot write to {self.path}: {error.strerror}; everything measured before "
                "is kept, and the same command goes on from there; REFORMER_RUNS=FOLDER puts runs "
                "elsewhere"
            ) from error


def run_folder(name: str) -> RunFolder:
    """Return the folder of the run of that name.

    Raises ValueError unless it is a plain folder name.
    """
    if misfit_of_name(name, "run"):
        raise ValueError(
            f"run name {name!r} is not a plain folder name, which any command could be given; "
            "use up to 100 letters and digits"
        )
    return RunFolder(RUNS / name)


def all_runs() -> list[RunFolder]:
    """Return all runs that have a plan, the one measured last at the end.

    A hidden folder is none, nor is a file.
    """
    folders = [path.parent for path in RUNS.glob("*/plan.json")]
    found = [path for path in folders if not path.name.startswith(".")]
    return [RunFolder(path) for path in sorted(found, key=last_change)]


def find_run(name: str | None) -> RunFolder:
    """Find a run by its name or by the path of its folder; without either the one measured last.

    Raises ValueError if there is none.
    """
    runs = {folder.name: folder for folder in all_runs()}
    if name is not None:
        path = expanded(name)
        files = (path / "records.jsonl", path / "plan.json")
        if name not in runs and any(file.exists() for file in files):
            return RunFolder(path.resolve())
        if path.name != name:
            raise ValueError(f"there is no run in {name}: no records.jsonl; give a run's folder")
    if not runs:
        asked = f"run {name!r}" if name else "run"
        raise ValueError(f"there is no {asked} in {RUNS}; start one with: python run_bench.py run")
    if name is not None:
        refuse_unknown(name, runs, "run")
    return runs[name or [*runs][-1]]


def last_change(folder: Path) -> float:
    """Return when a run last grew, in seconds since 1970, as far as its files can tell."""
    times = [0.0]
    for path in folder.glob("*.json*"):
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)


def shorten(path: Path) -> str:
    """Return a path relative to the repository where that is shorter."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
