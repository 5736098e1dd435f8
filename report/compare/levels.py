"""Cases are grouped so that within a group only one setting differs: its levels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.reading.cases import CaseResult
from report.reading.differences import memory_ratio, score_difference, time_ratio
from report.reading.measures import rest_bytes
from report.reading.rivals import ORDINARY, TYPICAL_DENSE
from report.reading.series import distinguishing, name_among, name_by_settings
from report.statistics.estimates import Estimate, Ratio
from suites.effects import DENSE_ONLY, HOW, LSH_ONLY, SHARED_QK_ONLY
from suites.labels import MEANS, OF_MEANS, level_phrase, means_text, phrases

# What a Reformer has and its dense twin has not, and the learning rate that suits each: where the
# two are compared it is left free.
FAMILY = (*LSH_ONLY, *DENSE_ONLY, *OF_MEANS, MEANS, "learning_rate")
# What need not be equal where cases are compared by a setting, besides that setting itself.
FREE = {
    "attention": FAMILY,
    "shared_qk": (*SHARED_QK_ONLY, *LSH_ONLY, "learning_rate"),
    "unit_keys": ("logit_scale",),
}

ALWAYS_TOLD = ("task", "subject")
PIECES = ("ff_chunks", "loss_chunks")


@dataclass(frozen=True, slots=True)
class Level:
    """A level is one value of the factor, beside the base of its group.

    All cases of a group are equal but for the factor.
    """

    group: str  # the settings that tell the groups apart
    level: Any
    name: str
    case: CaseResult
    base: CaseResult
    previous: "Level | None" = None  # the level below, of the same group

    @property
    def score_change(self) -> Estimate | None:
        """Return bits per dim, or accuracy in %, less that of the base; None without a pair."""
        return score_difference(self.case, self.base)

    @property
    def time_ratio(self) -> Ratio | None:
        """Return the time of a step over that of the base; None if one was not timed."""
        return time_ratio(self.case, self.base)

    @property
    def memory_ratio(self) -> float | None:
        """Return the activations over those of the base; measured once, they have no interval."""
        return memory_ratio(self.case, self.base)


def groups_by(cases: Sequence[CaseResult], factor: str) -> list[dict[Any, CaseResult]]:
    """Group cases that are equal but for the factor; each group maps levels to cases.

    Pieces of feed-forward and of the loss are one factor: they change together.
    """
    pieces = PIECES if factor in PIECES else ()
    without = {factor, *pieces, *HOW, *FREE.get(factor, ())}
    alike: dict[object, list[CaseResult]] = {}
    for case in cases:
        if factor in case.settings:
            settings = sorted(case.settings.items())
            key = (case.mark, *((k, v) for k, v in settings if k not in without))
            alike.setdefault(key, []).append(case)
    return [_by_level(members, factor) for members in alike.values()]


def _by_level(members: Sequence[CaseResult], factor: str) -> dict[Any, CaseResult]:
    found: dict[Any, CaseResult] = {}
    of_models = factor == "attention"
    levels = _family_names(members) if of_models else [case.settings[factor] for case in members]
    for case, level in zip(members, levels, strict=True):
        known = found.get(level)
        # the same settings measured in parts: the case that measured more stands for them
        if known is None or n_measured(case) > n_measured(known):
            found[level] = case
    return found


def _family_names(cases: Sequence[CaseResult]) -> list[str]:
    """Name models among those of their kind; what tells these apart is asked once for all."""
    alike: dict[str, list[CaseResult]] = {}
    for case in cases:
        alike.setdefault(case.kind, []).append(case)
    keys = {
        kind: [key for key in distinguishing(some) if key in FAMILY] if len(some) > 1 else []
        for kind, some in alike.items()
    }
    return [name_by_settings(case, keys[case.kind]) for case in cases]


def group_names(groups: Sequence[dict[Any, CaseResult]], factor: str) -> list[str]:
    """Name the groups by task, subject and the fewest other settings that tell them apart."""
    firsts = [next(iter(found.values())) for found in groups]
    free = {factor, *FREE.get(factor, ())}
    always = [key for key in ALWAYS_TOLD if key not in free]
    keys = [k for k in distinguishing(firsts) if k not in {*free, *always}]

    def told(names: Sequence[str], case: CaseResult) -> str:
        words = phrases({"subject": "model", **case.settings}, [*always, *names])
        return ", ".join([*words, *([case.mark] if case.mark else [])])

    for key in ("heldout_tokens", "batch", *keys):
        fewer = [k for k in keys if k != key]
        if len({told(fewer, case) for case in firsts}) == len(firsts):
            keys = fewer
    return [told(keys, case) for case in firsts]


def n_measured(case: CaseResult) -> int:
    """Count what was measured of a case: time, quality and memory."""
    return bool(case.processes()) + bool(case.quality()) + (rest_bytes(case) is not None)


def levels_of(group: str, found: dict[Any, CaseResult], factor: str, base: Any) -> list[Level]:
    """Return the levels of a group in order, or none if the group lacks the base."""
    ordered = sorted(found, key=_sort_key)
    is_model = factor == "attention"
    usual = max(ordered, key=lambda v: fitness_as_base(found[v])) if is_model else ordered[0]
    start = usual if base is None else base
    levels: list[Level] = []
    for value in ordered if start in found else ():
        name = value if factor == "attention" else level_phrase(factor, value)
        # models have no order
        previous = levels[-1] if levels and factor != "attention" else None
        levels.append(Level(group, value, name, found[value], found[start], previous))
    return levels


def fitness_as_base(case: CaseResult) -> tuple[bool, int, bool, bool]:
    """Rank models to compare others with: the dense one of which most is known.

    Of several it is the usual one, as published but for shared QK.
    """
    s = case.settings
    is_dense = s.get("attention") == TYPICAL_DENSE
    is_ordinary, shares = means_text(s) == ORDINARY, s.get("shared_qk") is not False
    return is_dense, n_measured(case), is_dense and is_ordinary, is_dense and shares


def _sort_key(level: Any) -> tuple[bool, float, str]:
    is_number = isinstance(level, int | float)
    return not is_number, float(level) if is_number else 0.0, str(level)


def dense_beside(cases: Sequence[CaseResult], levels: Sequence[Level], factor: str) -> list[Level]:
    """Find the dense and local cases that share a group's settings: the marks to beat.

    Empty for a factor that dense models have too: these then stand in groups of their own.
    """
    if factor not in LSH_ONLY:
        return []

    def shared(case: CaseResult) -> dict[str, Any]:
        return {k: v for k, v in case.settings.items() if k not in {*HOW, *FAMILY, "attention"}}

    marks = [
        (case, shared(case))
        for case in cases
        if case.kind in ("dense", "local") and factor not in case.settings and n_measured(case)
    ]
    found = []
    for first in {one.group: one for one in levels}.values():
        of_group = shared(first.base)
        like = [
            case
            for case, settings in marks
            if case.mark == first.case.mark and settings == of_group
        ]
        names = [name_among(case, like) for case in like]
        found += [
            Level(first.group, None, name, case, first.base)
            for name, case in zip(names, like, strict=True)
        ]
    return found
