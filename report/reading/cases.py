"""A case is one configuration on one machine, with the records of all its seeds."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines.config import PEERS
from report.statistics.estimates import Estimate
from report.statistics.intervals import estimate_geometric_mean
from report.statistics.noise import Noise
from report.statistics.samples import Processes
from report.statistics.seeds import mean_over_seeds
from suites.effects import kinds_of
from suites.engine.store.records import Record, mispredicted, part_of, read_records

# Without these settings nobody can say what a record is of.
NEEDED = {"attention", "length"}
PARTS = ("forward", "backward", "optimizer", "step")


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case result holds all records of one case on one machine, by seed, ascending.

    Where several runs measured a seed, its newest record is the first (gathering.newest_parts).
    `mark` tells machines apart in mixed reports.
    """

    records: tuple[Record, ...]
    # between processes, of each part of the step, from the cases of its kind (`noise_kind`)
    noise: Mapping[str, Noise | None] = field(default_factory=dict)
    mark: str = ""
    name: str = ""  # for people, told from the other cases
    settings: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", resolved(self.records[0]["settings"]))

    @property
    def id(self) -> str:
        """The id of a case is a hash of what is measured."""
        return str(self.records[0]["case"])

    @property
    def label(self) -> str:
        """The label names the case for people, with the mark if there is one."""
        name = self.name or self.records[0]["label"]
        return f"{name} [{self.mark}]" if self.mark else name

    @property
    def suites(self) -> list[str]:
        """These are the suites in which the case stands."""
        return list(dict.fromkeys(s for r in self.records for s in r.get("suites") or []))

    @property
    def kind(self) -> str:
        """The kind is what `kind_of` tells."""
        return kind_of(self.settings)

    @property
    def version(self) -> str:
        """Return the version of a published attention, or a checksum of the user's own; or ""."""
        return version_of(self.records[0])

    @property
    def failure(self) -> tuple[str, str]:
        """Return status and reason of the first record that is not ok; ("", "") if all are."""
        for record in self.records:
            if record["status"] != "ok":
                return record["status"], record.get("reason") or ""
        return "", ""

    def processes(self, part: str = "step") -> Processes:
        """Return the samples of a part in ms, per process; empty if it was not timed."""
        for record in self.records:
            found = samples_of(record, part)
            if found:
                return found
        return []

    def time(self, part: str = "step") -> Estimate | None:
        """Return the time of a part in ms with its interval; None if it was not timed.

        The value is the geometric mean of the medians of the processes.
        """
        processes = self.processes(part)
        return estimate_geometric_mean(processes, self.noise.get(part)) if processes else None

    @property
    def disturbed(self) -> bool:
        """Return whether there was foreign load in any process whose samples count."""
        return any(
            process.get("disturbed")
            for record in self.records
            for process in part_of(record, "time").get("processes") or []
        )

    def memory(self, name: str) -> float | None:
        """Return one entry of the memory part, such as "peak_bytes"; None if not measured."""
        for record in self.records:
            value = part_of(record, "memory").get(name)
            if value is not None:
                return float(value)
        return None

    @property
    def mispredicted(self) -> float | None:
        """Return by what share the predicted peak is off, or None if it is close or not measured.

        See `mispredicted` in suites.engine.store.records.
        """
        return next((mispredicted(r["memory"]) for r in self.records if r.get("memory")), None)

    def quality(self, name: str = "bits_per_dim", rounds: str = "") -> dict[int, float]:
        """Return "bits_per_dim" or "accuracy" (a share) by seed.

        With `rounds`, it is as evaluated with so many rounds, or with "full" attention.
        """
        found = {}
        for record in self.records:
            part = part_of(record, "quality")
            if rounds:
                part = (part.get("evaluated_with") or {}).get(rounds) or {}
            if part.get(name) is not None:
                found[int(record["seed"])] = float(part[name])
        return found

    def bits(self) -> Estimate | None:
        """Return held-out bits per dim with the interval over seeds; None if not measured."""
        values = self.quality()
        return mean_over_seeds(list(values.values())) if values else None


def version_of(record: Record) -> str:
    """Return the version of what attends in a record, "" for what is in the measured code."""
    return str((record.get("versions") or {}).get(record["settings"]["attention"], ""))


def kind_of(settings: Mapping[str, Any]) -> str:
    """Tell the kind of a model from its attention.

    It is "reformer" for ours, "local" for ours with local attention, "mixed" for layers of several
    kinds, "peer" for a published Reformer, else "dense".
    """
    attention = str(settings.get("attention"))
    if attention in PEERS:
        return "peer"
    if len(kinds_of(attention)) > 1:
        return "mixed"
    return {"lsh": "reformer", "local": "local"}.get(attention, "dense")


def samples_of(record: Record, part: str) -> Processes:
    """Return the samples of a part in one record in ms, per process, without empty ones."""
    processes = part_of(record, "time").get("processes") or []
    samples = [process.get("samples_ms", {}).get(part) for process in processes]
    return [s for s in samples if s]


def failed_parts(record: Record) -> set[str]:
    """Return which of "time", "memory" and "quality" failed, as far as the jobs tell."""
    jobs = [job for job in record.get("jobs") or [] if not job.get("replaced")]
    return {job["kind"] for job in jobs if job["status"] != "ok"}


def tokens_at_once(settings: Mapping[str, Any]) -> int:
    """Count the tokens of a step or call: those of all its sequences."""
    return int(settings.get("batch", 1) * settings["length"])


def resolved(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with chunk_length in force and lists as tuples.

    So they can be compared and hashed. Calls of before there was `cuda_graph` were without.
    """
    found = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    if kind_of(found) != "dense" and found.get("chunk_length") is None:
        found["chunk_length"] = 2 * found["bucket_size"] if "bucket_size" in found else None
    if found.get("subject") == "attention":
        found.setdefault("cuda_graph", False)
    return found


def load_run(folder: Path) -> list[Record]:
    """Read the records of a run folder; those that do not say what was measured are left out.

    Raises ValueError if there are none, or if they were written by a newer version.
    """
    path = Path(folder) / "records.jsonl"
    found = read_records(path)
    records = [record for record in found if NEEDED <= record["settings"].keys()]
    if len(records) < len(found):
        n_lost, needed = len(found) - len(records), " and ".join(sorted(NEEDED))
        print(f"note: {path}: {n_lost} records without {needed} are left out", file=sys.stderr)
    if not records:
        raise ValueError(f"no records in {path}; measure first: python run_bench.py run")
    return records


def commit_text(record: Record) -> str:
    """Name the commit that measured, with a hash of the code where it was changed."""
    code = record.get("code") or {}
    commit = str(code.get("commit") or "")[:9] or "no commit"
    return commit + (f"-dirty ({code.get('hash')})" if code.get("dirty") else "")


def code_text(record: Record) -> str:
    """Name the commit and the hash of the measured code, which alone decides the numbers."""
    return f"commit {commit_text(record)}, code {(record.get('code') or {}).get('hash')}"


def in_suite(cases: Iterable[CaseResult], suite: str) -> list[CaseResult]:
    """Return the cases that stand in a suite."""
    return [case for case in cases if suite in case.suites]


def suite_names(cases: Iterable[CaseResult]) -> list[str]:
    """Return the names of all suites, in the order in which they were met."""
    return list(dict.fromkeys(name for case in cases for name in case.suites))
