"""The cases of a suite become the lines of a figure, one per variant of a model."""

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from report.reading.captions import caption_of
from report.reading.cases import CaseResult, in_suite
from suites.base import Suite
from suites.effects import HOW, LSH_ONLY, NOT_LOCAL, OURS_ONLY
from suites.labels import OF_MEANS, phrases, with_means
from suites.settings import SETTINGS

# In the order of lines, each with the settings that have no effect on it.
KINDS: dict[str, tuple[str, ...]] = {
    "reformer": (),
    "peer": OURS_ONLY,
    "local": NOT_LOCAL,
    "mixed": (),
    "dense": LSH_ONLY,
}
AXIS_LABELS = {
    "length": "sequence length (tokens)",
    "n_rounds": "hash rounds",
    "bucket_size": "bucket size (mean positions per bucket)",
    "chunk_length": "chunk length m (positions)",
    "n_layers": "layers",
    "learning_rate": "peak learning rate",
    "n_pairs": "key-value pairs in a sequence",
}


@dataclass(frozen=True, slots=True)
class Series:
    """A series holds the cases of one variant of a model, by x.

    With `on_axis` False it is a level: x does not apply to it.
    """

    name: str
    kind: str  # CaseResult.kind
    on_axis: bool
    points: tuple[tuple[float, CaseResult], ...]  # ascending in x; nan for a level

    @property
    def cases(self) -> list[CaseResult]:
        """Return the cases of the line, without their x."""
        return [case for _, case in self.points]


@dataclass(frozen=True, slots=True)
class View:
    """A view is a suite as it is drawn: its lines, its axis and its caption."""

    name: str
    question: str
    varies: str  # "" if each case changes something else of a base (suites.base.Suite)
    log_x: bool
    series: tuple[Series, ...]
    caption: str
    analyses: frozenset[str] = frozenset()  # that the suite asks for

    @property
    def cases(self) -> list[CaseResult]:
        """Return all cases of all lines."""
        return [case for series in self.series for case in series.cases]

    @property
    def x_values(self) -> list[float]:
        """Return the measured values on the x axis, ascending."""
        return sorted({x for s in self.series if s.on_axis for x, _ in s.points})


def view_of(name: str, cases: Iterable[CaseResult]) -> View:
    """Arrange the cases of the suite `name` into lines along the suite's own axis.

    For a suite that is no longer in the code, the axis is the setting with most values.
    """
    members = in_suite(cases, name)
    suite = _suite(name)
    varies = suite.varies if suite else _widest_setting(members)
    return View(
        name=name,
        question=suite.question if suite else "",
        varies=varies,
        log_x=suite.log_x if suite else True,
        series=tuple(lines(members, varies)),
        caption=caption_of(members),
        analyses=frozenset(suite.analyses if suite else ()),
    )


def lines(cases: Sequence[CaseResult], varies: str) -> list[Series]:
    """Group cases into lines along the setting `varies`, ours first, then by their settings."""
    found = []
    for kind, without_effect in KINDS.items():
        alike = [case for case in cases if case.kind == kind]
        on_axis = varies not in ("", *without_effect)
        keys = distinguishing(alike, varies if on_axis else "")
        groups: dict[str, list[CaseResult]] = {}
        for case in sorted(alike, key=lambda c: [_sortable(c.settings.get(k)) for k in keys]):
            groups.setdefault(name_by_settings(case, keys, varies), []).append(case)
        for name, members in groups.items():
            points = [(_x(case, varies) if on_axis else float("nan"), case) for case in members]
            points.sort(key=lambda point: point[0])
            found.append(Series(name, kind, on_axis, tuple(points)))
    return found


def distinguishing(cases: Sequence[CaseResult], varies: str = "") -> list[str]:
    """Find the settings that tell these cases apart, beside `varies`.

    What follows from `varies` is left out too, such as batch = tokens / length. Reversible layers
    and pieces are told together (suites.labels.MEANS) where that tells as much.
    """
    keys = []
    for key in SETTINGS:
        values: dict[object, set[object]] = {}
        for case in cases:
            if key in case.settings:
                at = case.settings.get(varies) if varies else None
                values.setdefault(at, set()).add(case.settings[key])
        several = len(set().union(*values.values())) > 1 if values else False
        tied = bool(varies) and all(len(found) == 1 for found in values.values())
        if key not in HOW and key != varies and several and not tied:
            keys.append(key)
    if varies in OF_MEANS:
        return keys
    return with_means(keys, [(case.settings.get(varies), case.settings) for case in cases])


def name_by_settings(case: CaseResult, keys: Sequence[str], varies: str = "") -> str:
    """Name a case by its kind of attention, the settings `keys`, and an unusual precision."""
    attention = str(case.settings.get("attention")).replace("_", "-")
    base = {
        "reformer": "LSH",
        "peer": attention,
        "local": "local attention",
        "mixed": "layers of " + attention.replace("lsh", "LSH").replace("+", ", "),
        "dense": f"dense {attention}",
    }[case.kind]
    with_rounds = case.kind in ("reformer", "peer") or "LSH" in base
    if with_rounds and varies != "n_rounds":
        base += f"-{case.settings.get('n_rounds')}"
    rest = phrases(case.settings, [key for key in keys if key not in IN_THE_BASE])
    precision = case.settings.get("precision", USUAL_PRECISION)
    rest.append("" if precision == USUAL_PRECISION else precision)
    return ", ".join(part for part in (base, *rest, case.mark) if part)


USUAL_PRECISION = "float32"  # goes without saying
IN_THE_BASE = ("attention", "n_rounds", "precision")


def name_among(case: CaseResult, among: Sequence[CaseResult]) -> str:
    """Name a case so that it differs from the others of its kind.

    Length and layers are left out: tables have columns for them.
    """
    kind = [other for other in among if other.kind == case.kind]
    keys = [k for k in distinguishing(kind) if k not in ("length", "n_layers")]
    return name_by_settings(case, keys)


def _suite(name: str) -> Suite | None:
    if not name.isidentifier():  # from a record: it imports nothing but a suite
        return None
    try:
        found = getattr(importlib.import_module(f"suites.{name}"), "SUITE", None)
    except ModuleNotFoundError:
        return None
    return found if isinstance(found, Suite) else None


def _widest_setting(cases: Sequence[CaseResult]) -> str:
    def width(name: str) -> int:
        values = {case.settings.get(name) for case in cases} - {None}
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        return len(values) if numbers else 0

    return max((name for name in SETTINGS if name not in HOW), key=width)


def _x(case: CaseResult, varies: str) -> float:
    value = case.settings.get(varies)
    return float(value) if isinstance(value, int | float) else float("nan")


def _sortable(value: object) -> tuple[bool, float, str]:
    number = float(value) if isinstance(value, int | float) else 0.0
    return value is None, number, str(value)
