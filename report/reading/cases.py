"""Records gathered into cases: what one configuration measured on one machine, all its seeds."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines.config import PEERS
from report.statistics.estimates import Estimate
from report.statistics.intervals import estimate_geometric_mean
from report.statistics.noise import Noise, process_noise
from report.statistics.samples import Processes
from report.statistics.seeds import mean_over_seeds
from suites.engine.store.records import FORMAT, Record, mispredicted, read_records

PARTS = ("forward", "backward", "optimizer", "step")


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case on one machine. `records` are by seed, ascending; `mark` tells machines apart in
    mixed reports.
    """

    records: tuple[Record, ...]
    noise: Noise | None = None  # between processes, from all cases together
    mark: str = ""
    settings: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", resolved(self.records[0].get("settings") or {}))

    @property
    def id(self) -> str:
        """The id of the case."""
        return str(self.records[0]["case"])

    @property
    def label(self) -> str:
        """The name of the case for people."""
        return str(self.records[0].get("label") or self.id) + (
            f" [{self.mark}]" if self.mark else ""
        )

    @property
    def suites(self) -> list[str]:
        """The suites in which it stands."""
        return list(dict.fromkeys(s for r in self.records for s in r.get("suites") or []))

    @property
    def kind(self) -> str:
        """ "reformer", ours; "peer", a published one; or "dense"."""
        return kind_of(self.settings)

    @property
    def failure(self) -> tuple[str, str]:
        """Status and reason of the first record that is not ok; ("", "") if all are."""
        for record in self.records:
            if record["status"] != "ok":
                return record["status"], record.get("reason") or ""
        return "", ""

    def processes(self, part: str = "step") -> Processes:
        """The samples of a part in ms, per process; empty if not measured."""
        for record in self.records:
            found = samples_of(record, part)
            if found:
                return found
        return []

    def time(self, part: str = "step") -> Estimate | None:
        """The median of a part in ms; None if not measured."""
        processes = self.processes(part)
        return estimate_geometric_mean(processes, self.noise) if processes else None

    def memory(self, name: str) -> float | None:
        """One entry of the memory part, such as "peak_bytes"; None if not measured."""
        for record in self.records:
            value = (record.get("memory") or {}).get(name)
            if value is not None:
                return float(value)
        return None

    @property
    def mispredicted(self) -> float | None:
        """See suites.engine.store.records.mispredicted; None if memory was not measured."""
        return next((mispredicted(r["memory"]) for r in self.records if r.get("memory")), None)

    def quality(self, name: str = "bits_per_dim", rounds: str = "") -> dict[int, float]:
        """By seed, "bits_per_dim" or "accuracy"; with `rounds`, as evaluated with so many rounds or
        "full".
        """
        found = {}
        for record in self.records:
            part = record.get("quality") or {}
            if rounds:
                part = (part.get("evaluated_with") or {}).get(rounds) or {}
            if part.get(name) is not None:
                found[int(record["seed"])] = float(part[name])
        return found

    def bits(self) -> Estimate | None:
        """Held-out bits per dim over the seeds; None if not measured."""
        values = self.quality()
        return mean_over_seeds(list(values.values())) if values else None


def kind_of(settings: Mapping[str, Any]) -> str:
    """ "reformer", "peer" or "dense", by the attention."""
    attention = settings.get("attention")
    return "reformer" if attention == "lsh" else "peer" if attention in PEERS else "dense"


def samples_of(record: Record, part: str) -> Processes:
    """The samples of a part in one record, per process, without empty ones."""
    processes = (record.get("time") or {}).get("processes") or []
    samples = [process.get("samples_ms", {}).get(part) for process in processes]
    return [s for s in samples if s]


def resolved(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with chunk_length in force and lists as tuples, so that they can be compared and
    hashed.
    """
    found = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    if found.get("attention") in ("lsh", *PEERS) and found.get("chunk_length") is None:
        found["chunk_length"] = 2 * found["bucket_size"] if "bucket_size" in found else None
    return found


def load_run(folder: Path) -> list[Record]:
    """The records of a run folder, of each case and seed the newest.

    Raises ValueError if there are none, or if they were written by a newer version.
    """
    path = Path(folder) / "records.jsonl"
    newest: dict[tuple[str, int], Record] = {}
    for record in read_records(path):
        if record.get("format", 0) > FORMAT:
            raise ValueError(
                f"{path} has record format {record['format']}, this version reads up to {FORMAT}; "
                "update the program"
            )
        key = record["case"], record["seed"]
        newest.pop(key, None)
        newest[key] = record
    if not newest:
        raise ValueError(f"no records in {path}; measure first: python run_bench.py run")
    return list(newest.values())


def gather(records: Iterable[Record], mixed: bool = False) -> list[CaseResult]:
    """The cases of records, in their order; records of different identity are different cases.

    Raises ValueError naming the difference if identities differ and not `mixed`.
    """
    records = list(records)
    differing = identity_differences(records)
    if differing and not mixed:
        told = "; ".join(f"{name}: {' and '.join(values)}" for name, values in differing.items())
        raise ValueError(
            f"these records do not compare, they differ in {told}; "
            "report one machine at a time, or ask for --mixed, which labels them"
        )
    groups: dict[tuple[str, str], dict[int, Record]] = {}
    for record in records:
        key = record["case"], json.dumps(comparable(record), sort_keys=True)
        groups.setdefault(key, {})[record["seed"]] = record
    noise = process_noise(filter(None, (samples_of(r, "step") for r in records)))
    ordered = [tuple(by_seed[s] for s in sorted(by_seed)) for by_seed in groups.values()]
    return [CaseResult(found, noise, identity_mark(found[0], differing)) for found in ordered]


def comparable(record: Record) -> dict[str, Any]:
    """What must agree for two records to be compared: the identity and the measuring method."""
    return {**(record.get("identity") or {}), "method": record.get("method")}


def identity_differences(records: Sequence[Record]) -> dict[str, list[str]]:
    """The names in which identities differ, and the values found."""
    seen: dict[str, dict[str, None]] = {}
    identities = [comparable(record) for record in records]
    for name in dict.fromkeys(n for identity in identities for n in identity):
        seen[name] = dict.fromkeys(str(identity.get(name)) for identity in identities)
    return {name: list(values) for name, values in seen.items() if len(values) > 1}


def identity_mark(record: Record, differing: dict[str, list[str]]) -> str:
    """What tells this record's identity from the others', for a label; "" if nothing does."""
    own = comparable(record)
    return ", ".join(f"{name} {own.get(name)}" for name in differing)


def commit_text(record: Record) -> str:
    """The commit that measured, short; where it was changed, with a hash of the code that ran."""
    code = record.get("code") or {}
    commit = str(code.get("commit") or "")[:9] or "no commit"
    return commit + (f"-dirty ({code.get('hash')})" if code.get("dirty") else "")


def code_text(record: Record) -> str:
    """The commit and the hash of the measured code, which alone decides what was measured."""
    return f"commit {commit_text(record)}, code {(record.get('code') or {}).get('hash')}"


def in_suite(cases: Iterable[CaseResult], suite: str) -> list[CaseResult]:
    """The cases that stand in a suite."""
    return [case for case in cases if suite in case.suites]


def suite_names(cases: Iterable[CaseResult]) -> list[str]:
    """All suites, in the order in which they were met."""
    return list(dict.fromkeys(name for case in cases for name in case.suites))
