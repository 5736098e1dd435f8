"""The cases of a suite become the lines of a figure, one per variant of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from report.reading.cases import CaseResult
from suites.effects import DENSE_ONLY, HOW, LSH_ONLY, NOT_LOCAL, OURS_ONLY
from suites.labels import OF_MEANS, phrase, phrases, with_means
from suites.settings import SETTINGS

# In the order of lines, each with the settings that have no effect on it.
KINDS: dict[str, tuple[str, ...]] = {
    "reformer": (),
    "peer": OURS_ONLY,
    "local": NOT_LOCAL,
    "mixed": (),
    "dense": LSH_ONLY,
}
# How long and how fast a model learns often follows from what it is.
SCHEDULE = ("learning_rate", "train_steps")
COLUMNS = ("length", "n_layers")  # of tables, beside the name of a model
# What suites compare: told also where it follows from the columns.
COMPARED = (*LSH_ONLY, *DENSE_ONLY, "reversible", "batch", "task")
AXIS_LABELS = {
    "length": "sequence length (tokens)",
    "n_rounds": "hash rounds",
    "bucket_size": "bucket size (mean positions per bucket)",
    "chunk_length": "chunk length m (positions)",
    "n_layers": "layers",
    "learning_rate": "peak learning rate",
    "d_ff": "width of the feed-forward layers (d_ff)",
    "n_pairs": "key-value pairs in a sequence",
}


@dataclass(frozen=True, slots=True)
class Series:
    """A series holds the cases of one variant of a model, by x.

    With `on_axis` False it is a level: x does not apply to it.
    """

    name: str
    kind: str  # CaseResult.kind, or "categories" where the line holds several
    on_axis: bool
    points: tuple[tuple[float, CaseResult], ...]  # ascending in x; nan for a level

    @property
    def cases(self) -> list[CaseResult]:
        """Return the cases of the line, without their x."""
        return [case for _, case in self.points]


def level(name: str, case: CaseResult) -> Series:
    """Make the series of one case to which no x applies."""
    return Series(name, case.kind, False, ((nan, case),))


@dataclass(frozen=True, slots=True)
class View:
    """A view is a suite as it is drawn: its lines, its axis and its caption."""

    name: str  # of the suite, and of the task where it has several
    suite: str
    question: str
    varies: str  # "" if each case changes something else of a base (suites.base.Suite)
    log_x: bool
    series: tuple[Series, ...]
    caption: str
    analyses: frozenset[str] = frozenset()  # that the suite asks for
    categories: tuple[str, ...] = ()  # names in place of numbers on the axis; x is their place
    named_by: tuple[str, ...] = ()  # the settings that make these names

    @property
    def cases(self) -> list[CaseResult]:
        """Return all cases of all lines."""
        return [case for series in self.series for case in series.cases]

    @property
    def x_values(self) -> list[float]:
        """Return the measured values on the x axis, ascending."""
        return sorted({x for s in self.series if s.on_axis for x, _ in s.points})

    def x_text(self, x: float) -> str:
        """Say in words where on the axis x is: "4 layers", or the name of a category."""
        if self.categories:
            return self.categories[int(x)]
        return phrase(self.varies, int(x) if x == int(x) else x)


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


def distinguishing(
    cases: Sequence[CaseResult], varies: str = "", columns: Sequence[str] = ()
) -> list[str]:
    """Find the settings that tell these cases apart, beside `varies`.

    What follows from `varies` is left out too, such as batch = tokens / length, and where tasks
    differ, what follows from the task, and of the schedule (SCHEDULE) what follows from the rest.
    Reversible layers and pieces are told together (suites.labels.MEANS) where that tells as much.
    columns: settings told beside; what follows from them, such as the width of a model, is left out
    unless suites compare it (COMPARED).
    """
    n_tasks = len({case.settings["task"] for case in cases if "task" in case.settings})
    by = [varies] * bool(varies) + ["task"] * (n_tasks > 1)
    keys = []
    for key in SETTINGS:
        having = [case.settings for case in cases if key in case.settings]
        if key in HOW or key == varies or len({one[key] for one in having}) < 2:
            continue
        told = [other for other in (by if key in COMPARED else [*by, *columns]) if other != key]
        values: dict[object, set[object]] = {}
        for one in having:
            values.setdefault(tuple(map(one.get, told)), set()).add(one[key])
        if not told or any(len(found) > 1 for found in values.values()):
            keys.append(key)
    for key in SCHEDULE:
        rest = [other for other in keys if other != key]
        if _n_told(cases, [varies, *rest]) == _n_told(cases, [varies, *keys]):
            keys = rest
    if varies in OF_MEANS:
        return keys
    beside = [varies, *columns]
    return with_means(keys, [(tuple(map(c.settings.get, beside)), c.settings) for c in cases])


def _n_told(cases: Sequence[CaseResult], keys: Sequence[str]) -> int:
    """Count how many cases these settings tell apart."""
    return len({tuple(case.settings.get(key) for key in keys) for case in cases})


def name_by_settings(case: CaseResult, keys: Sequence[str], varies: str = "") -> str:
    """Name a case by its kind of attention, the settings `keys`, and an unusual way to run."""
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
    rest.append(phrase("cuda_graph", case.settings.get("cuda_graph", False)))
    return ", ".join(part for part in (base, *rest, case.mark) if part)


USUAL_PRECISION = "float32"  # goes without saying
IN_THE_BASE = ("attention", "n_rounds", "precision", "cuda_graph")


def name_among(case: CaseResult, among: Sequence[CaseResult]) -> str:
    """Name a case so that it differs from the others of its kind.

    Length and layers are left out: tables have columns for them.
    """
    kind = [other for other in among if other.kind == case.kind]
    keys = [k for k in distinguishing(kind, columns=COLUMNS) if k not in COLUMNS]
    return name_by_settings(case, keys)


def _x(case: CaseResult, varies: str) -> float:
    value = case.settings.get(varies)
    return float(value) if isinstance(value, int | float) else float("nan")


def _sortable(value: object) -> tuple[bool, float, str]:
    number = float(value) if isinstance(value, int | float) else 0.0
    return value is None, number, str(value)
