"""Records are gathered into cases, with what the noise of their kind is."""

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import floor, log10
from typing import Any, cast

from report.reading.cases import (
    PARTS,
    CaseResult,
    failed_parts,
    kind_of,
    resolved,
    samples_of,
)
from report.statistics.noise import Noise, noise_by_kind
from report.statistics.samples import geometric_mean_of_medians
from suites.engine.store.records import PARTS as MEASURED
from suites.engine.store.records import Record, part_of
from suites.labels import labels


def noise_kind(record: Record) -> tuple[str, ...]:
    """Return the kind of a case, within which the noise between processes is taken to be alike.

    Of a kind are cases of one machine and one subject (model, attention alone, that in CUDA
    graphs), of one family (Reformer, peer, dense), and of one order of magnitude of the time of a
    step: short calls are noisy in other ways than long ones. A kind of fewer than 6 cases, or of
    cases that differ much more than chance, tells nothing.
    """
    settings = record["settings"]
    ms = geometric_mean_of_medians(samples_of(record, "step"))
    identity = json.dumps(record["identity"], sort_keys=True)
    order = str(floor(log10(ms))) if ms > 0 else ""
    graphs = " in CUDA graphs" if settings.get("cuda_graph") else ""
    return identity, f"{settings.get('subject', 'model')}{graphs}", kind_of(settings), order


def noise_of_parts(
    records: Iterable[Record],
) -> dict[str, dict[Hashable, Noise | None]]:
    """Estimate the noise between processes of each part of a step, by kind of case."""
    timed = [(noise_kind(r), r) for r in records if samples_of(r, "step")]
    return {
        part: noise_by_kind((kind, found) for kind, r in timed if (found := samples_of(r, part)))
        for part in PARTS
    }


def gather(
    records: Iterable[Record], mixed: bool = False, beside: Sequence[Record] = ()
) -> list[CaseResult]:
    """Gather records into cases, in their order; another identity makes another case.

    Of a case and seed that several runs measured the newest of each part counts (`newest_parts`).
    beside: records of other runs that tell the noise of a kind too. Raises ValueError naming the
    difference if identities differ and not `mixed`.
    """
    records = list(records)
    differing = identity_differences(records)
    if differing and not mixed:
        told = "; ".join(f"{name}: {' and '.join(values)}" for name, values in differing.items())
        raise ValueError(
            f"these records do not compare, they differ in {told}; "
            "report one machine at a time, or ask for --mixed, which labels them"
        )
    groups: dict[tuple[str, str], dict[int, list[Record]]] = {}
    for record in records:
        by_seed = groups.setdefault((record["case"], identity_key(record)), {})
        by_seed.setdefault(record["seed"], []).append(record)
    ordered = [
        tuple(record for seed in sorted(by_seed) for record in newest_parts(by_seed[seed]))
        for by_seed in groups.values()
    ]
    noise = noise_of_parts([*(record for found in ordered for record in found), *beside])
    names = [found[0]["label"] for found in ordered]
    if len({*names}) < len({found[0]["case"] for found in ordered}):
        names = labels([resolved(found[0]["settings"]) for found in ordered])
    return [
        CaseResult(found, _noise_of(found, noise), identity_mark(found[:1], differing), name)
        for found, name in zip(ordered, names, strict=True)
    ]


def newest_parts(records: Sequence[Record]) -> list[Record]:
    """Return the newest record of a case and seed, and of older ones what no newer one measured.

    All are in the suites of all. Of equally old ones the later counts as newer. An older record
    keeps only the parts that are its own, beside the code that measured them, and its failure only
    if that is of something that was not measured since.
    """
    if len(records) == 1:
        return list(records)
    suites = [*dict.fromkeys(name for one in records for name in one.get("suites") or [])]
    newest_first = sorted(records, key=lambda record: record.get("started") or "")[::-1]
    known: set[str] = set()
    wanted = {name for record in records for name in MEASURED if part_of(record, name)}
    found: list[Record] = []
    for record in newest_first:
        own = {name for name in MEASURED if part_of(record, name)} - known
        fails = record["status"] != "ok" and bool((failed_parts(record) or wanted - own) - known)
        if own or fails or not found:
            told = {"suites": suites, **dict.fromkeys(known)}
            if found and not fails:
                told |= {"status": "ok", "reason": ""}
            found.append(cast(Record, {**record, **told}))
        known |= own
    return found


def _noise_of(
    records: Sequence[Record], noise: Mapping[str, Mapping[Hashable, Noise | None]]
) -> dict[str, Noise | None]:
    """Return what the kind of a case says of each part, by the record that was timed."""
    kind = next((noise_kind(r) for r in records if samples_of(r, "step")), None)
    return {part: found.get(kind) for part, found in noise.items()}


def comparable(record: Record) -> dict[str, Any]:
    """Return what must agree for two records to be compared: machine, versions, method."""
    return {**record["identity"], **record.get("versions", {}), "method": record["method"]}


def identity_key(record: Record) -> str:
    """Return `comparable` as a text, to be a key."""
    return json.dumps(comparable(record), sort_keys=True)


def identity_differences(records: Sequence[Record]) -> dict[str, list[str]]:
    """Return the names in which identities differ, with the values found.

    A name that only some records have, such as a peer's version, is no difference to the others.
    """
    seen: dict[str, dict[str, None]] = {}
    for record in records:
        for name, value in comparable(record).items():
            seen.setdefault(name, {})[str(value)] = None
    return {name: list(values) for name, values in seen.items() if len(values) > 1}


def identity_mark(records: Sequence[Record], differing: Iterable[str]) -> str:
    """Return what tells the identity of these records from others; "" if nothing does.

    A name that they do not have, such as a peer's version, tells nothing.
    """
    own = {name: value for record in records for name, value in comparable(record).items()}
    return ", ".join(f"{name} {own[name]}" for name in differing if name in own)


def groups_alike(
    cases: Sequence[CaseResult], differing: Iterable[str]
) -> Iterator[list[CaseResult]]:
    """Yield groups of cases that were measured with the same of all that differs.

    A case that lacks a name, such as a peer's version, belongs to each group of its machine.
    """
    own = [{k: str(v) for k, v in comparable(case.records[0]).items()} for case in cases]
    names = list(differing)
    everywhere = [name for name in names if all(name in one for one in own)]
    machines: dict[tuple[str, ...], list[int]] = {}
    for i, one in enumerate(own):
        machines.setdefault(tuple(one[name] for name in everywhere), []).append(i)
    for members in machines.values():
        values = {
            name: dict.fromkeys(own[i][name] for i in members if name in own[i]) for name in names
        }
        known = {name: found for name, found in values.items() if found}
        for chosen in product(*known.values()):
            wanted = dict(zip(known, chosen, strict=True))
            yield [
                cases[i] for i in members if all(own[i].get(k, v) == v for k, v in wanted.items())
            ]
