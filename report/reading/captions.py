"""A caption tells on which machine, from how many seeds and by which code was measured."""

from collections.abc import Iterable, Sequence

from baselines.config import package_of
from report.reading.cases import CaseResult, commit_text
from report.text import plural
from suites.engine.store.records import Record, part_of


def caption_of(cases: Sequence[CaseResult]) -> str:
    """Name the machine, the seeds, the kernels, the versions of peers and the commit of cases.

    It is "" of cases that were not measured.
    """
    records = [record for case in cases for record in case.records]
    if not records:
        return ""
    seeds = sorted({int(record["seed"]) for record in records if record.get("quality")})
    machines = dict.fromkeys(machine_text(record.get("identity") or {}) for record in records)
    commits = dict.fromkeys(commit_text(record) for record in records)
    count = f"{plural(len(seeds), 'seed')}; " if seeds else ""
    trained = [int(part_of(record, "quality").get("threads") or 0) for record in records]
    if any(trained):
        count += f"trained with {plural(max(trained), 'thread')}; "
    mixed = "MIXED MACHINES OR METHODS. " if any(case.mark for case in cases) else ""
    ours = [case for case in cases if case.kind in ("reformer", "local")]
    named = [record.get("kernel") for case in ours for record in case.records]
    kernels = dict.fromkeys(str(kernel) for kernel in named if kernel)
    if kernels:
        count += f"LSH by kernel {', '.join(kernels)}; "
    peers = dict.fromkeys(
        f"{package_of(case.settings['attention'])} {case.version}"
        for case in cases
        if case.kind == "peer" and case.version
    )
    count += "".join(f"{peer}; " for peer in peers)
    return f"{mixed}{' / '.join(machines)}. {count}commit {', '.join(commits)}."


def machine_text(identity: dict[str, object]) -> str:
    """Name a machine, its device, its threads and its torch, as far as an identity tells."""
    parts = [str(identity.get("machine") or "unknown machine"), str(identity.get("device") or "")]
    threads = identity.get("threads")
    parts.append(plural(int(str(threads)), "thread") if threads else "")
    parts.append(f"torch {identity['torch']}" if identity.get("torch") else "")
    return ", ".join(part for part in parts if part)


def stand_in_text(records: Iterable[Record]) -> str:
    """Name in a sentence the data that stand in for the paper's; "" if none do."""
    data = [part_of(record, "quality").get("data") or {} for record in records]
    names = dict.fromkeys(str(one.get("name")) for one in data if one.get("stand_in"))
    if not names:
        return ""
    return f"Data: {', '.join(names)}, a stand-in: not comparable with published bits per dim."
