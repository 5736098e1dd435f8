"""A plan says what a run is to measure: it is written when the run begins, and may be extended.

It is plan.json in the run's folder, and grows when more is asked. No torch.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NotRequired, TypedDict

from suites.base import Case
from suites.engine.store.names import plain_name
from suites.engine.store.records import FORMAT
from suites.engine.store.shapes import misfit
from suites.labels import labels
from suites.settings import METHOD_VERSION, SETTINGS, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry is a case of a plan, its suites, and the settings that --set changed."""

    case: Case
    suites: tuple[str, ...]
    changed: tuple[str, ...] = ()

    def joined(self, other: "Entry") -> "Entry":
        """Join with what another suite, or a later plan, asks of the same case."""
        settings = self.case.settings.joined(other.case.settings)
        return Entry(
            case=Case(settings=settings, skip=other.case.skip),
            suites=tuple(dict.fromkeys((*self.suites, *other.suites))),
            changed=self.changed,
        )


@dataclass(slots=True, kw_only=True)
class Plan:
    """A plan says what a run measures.

    entries: by case id, in order. identity: of the machine, what must agree for two numbers to be
    compared. versions: of what only some cases use, by the name of its attention or task: a peer's
    version, a checksum of the user's own code or text. gflops: the machine's speed, by which times
    are predicted. outdated: why this code cannot go on with the plan, "" if it can.
    """

    name: str
    preset: str
    seeds: list[int]
    device: str
    entries: dict[str, Entry] = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    gflops: float = 0.0
    outdated: str = ""

    def labels(self) -> dict[str, str]:
        """Name every case, by id, so that no two have the same name."""
        entries = self.entries.values()
        names = labels([e.case.settings.measured() for e in entries], [e.changed for e in entries])
        return dict(zip(self.entries, names, strict=True))

    def versions_of(self, settings: Settings) -> dict[str, str]:
        """Return the versions that a case depends on, by the name of its attention or task."""
        measured = settings.measured()
        names = (measured["attention"], measured.get("task"))
        return {name: self.versions[name] for name in names if name in self.versions}

    def to_json(self) -> dict[str, Any]:
        """Make plain data for plan.json."""
        names = self.labels()
        return {
            "format": FORMAT,
            "method": METHOD_VERSION,
            "name": self.name,
            "preset": self.preset,
            "seeds": self.seeds,
            "device": self.device,
            "identity": self.identity,
            "versions": self.versions,
            "gflops": self.gflops,
            "cases": [
                {
                    "id": case_id,
                    "label": names[case_id],
                    "suites": list(entry.suites),
                    "skip": entry.case.skip,
                    "changed": list(entry.changed),
                    "settings": asdict(entry.case.settings),
                }
                for case_id, entry in self.entries.items()
            ],
        }


class PlannedCase(TypedDict):
    """A planned case is a row of plan.json."""

    id: str
    label: str
    suites: list[str]
    skip: str
    changed: NotRequired[list[str]]
    settings: dict[str, Any]


class PlanFile(TypedDict):
    """The content of plan.json is what a `Plan` has, without what is not known yet."""

    method: int | str
    name: str
    preset: str
    seeds: list[int]
    device: str
    identity: dict[str, Any]
    versions: NotRequired[dict[str, str]]
    gflops: float
    cases: list[PlannedCase]


def plan_from_json(content: Mapping[str, Any]) -> Plan:
    """Make the plan of a plan.json.

    `outdated` says so where this code has other cases or methods. Raises TypeError or ValueError if
    it is no plan.
    """
    problem = misfit(content, PlanFile) or ("" if content["seeds"] else "seeds are none")
    if problem:
        raise ValueError(problem)
    name, method = content["name"], content["method"]
    outdated = ""
    if method != METHOD_VERSION:
        outdated = f"it was planned with method version {method}, this code has {METHOD_VERSION}"
    entries = {}
    for row in content["cases"]:
        known = {key: value for key, value in row["settings"].items() if key in SETTINGS}
        case = Case(settings=Settings(**known), skip=row["skip"])
        unknown = sorted(row["settings"].keys() - known.keys())
        if unknown:
            outdated = outdated or f"there is no setting {unknown[0]!r} any more"
        elif case.id != row["id"]:
            outdated = outdated or f"case {row['id']} ({row['label']}) would now be {case.id}"
        changed = tuple(row.get("changed", ()))
        suites = tuple(plain_name(suite, "suite") for suite in row["suites"])
        entries[plain_name(row["id"], "case")] = Entry(case=case, suites=suites, changed=changed)
    return Plan(
        name=name,
        preset=content["preset"],
        seeds=content["seeds"],
        device=content["device"],
        entries=entries,
        identity=content["identity"],
        versions=content.get("versions", {}),
        gflops=content["gflops"],
        outdated=outdated,
    )


def extend(old: Plan, new: Plan) -> None:
    """Add the seeds, suites, cases and versions of `new` to `old`.

    Raises ValueError where the two contradict: another preset, machine or version, or code that has
    left the old plan.
    """
    if old.outdated:
        raise ValueError(
            f"the plan of run {old.name!r} no longer matches the code: {old.outdated}; "
            "use another --run name"
        )
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
    old.versions = old.versions | new.versions
    for case_id, entry in new.entries.items():
        before = old.entries.get(case_id)
        old.entries[case_id] = before.joined(entry) if before else entry
