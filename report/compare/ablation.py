"""One factor at a time: each level of a setting against a base, all else equal; what it buys and
what it costs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reformer.checks import refuse_unknown
from report.reading.cases import CaseResult, gather
from report.reading.measures import rest_bytes
from report.reading.rivals import TYPICAL_DENSE
from report.reading.series import case_name, distinguishing, name_of_case, phrase
from report.statistics.estimates import Estimate, Ratio
from report.statistics.intervals import ratio_of_medians
from report.statistics.seeds import paired_difference
from report.tables.markup import to_markdown
from report.text import FAILED, bytes_text, interval_text, ms_text, percent_text, signed_text, times
from suites.engine.store.records import Record
from suites.settings import DENSE_ONLY, HOW, LSH_ONLY
from suites.settings import SETTINGS as NAMES

MIB = 2**20
MAX_GROUPS = 6
# What a Reformer has and its dense twin has not: a comparison of the two leaves it free.
FAMILY = (*LSH_ONLY, *DENSE_ONLY, "reversible", "ff_chunks", "loss_chunks")
# Factors for which "per extra unit" says something.
UNITS = {"n_rounds": "round", "n_layers": "layer"}


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the factor, against the base of its group: cases that are otherwise equal."""

    group: str  # the settings that tell the groups apart
    level: Any
    name: str
    case: CaseResult
    base: CaseResult
    previous: "Level | None" = None  # the level below, of the same group

    @property
    def bits_change(self) -> Estimate | None:
        """Bits per dim less those of the base, paired over seeds."""
        if not set(self.case.quality()) & set(self.base.quality()):
            return None
        return paired_difference(self.case.quality(), self.base.quality())

    @property
    def time_ratio(self) -> Ratio | None:
        """Time of a step over that of the base."""
        if not self.case.processes() or not self.base.processes():
            return None
        return ratio_of_medians(self.case.processes(), self.base.processes(), self.case.noise)

    @property
    def memory_ratio(self) -> float | None:
        """Activations over those of the base; measured once, so without an interval."""
        mine, other = rest_bytes(self.case), rest_bytes(self.base)
        return mine / other if mine is not None and other else None


@dataclass(frozen=True, slots=True)
class Ablation:
    """All levels of a factor, the largest group first; `others`: dense cases for orientation."""

    factor: str
    levels: tuple[Level, ...]
    others: tuple[Level, ...]

    def table(self) -> pd.DataFrame:
        """A row per level, in numbers."""
        return pd.DataFrame([_row(level, self.factor) for level in self.levels])

    def for_people(self) -> pd.DataFrame:
        """A row per level, in words: what it buys and costs against the base and per extra unit."""
        rows = [_words(level, self.factor) for level in self.levels]
        table = pd.DataFrame(rows).replace("", None).dropna(axis=1, how="all")
        return table.astype(object).fillna("")

    def markdown(self) -> str:
        """The finding and the table for people."""
        return f"{self.finding()}.\n\n{to_markdown(self.for_people())}"

    def finding(self) -> str:
        """What the first and the last step up from the base buy and cost, in the main group."""
        main = [one for one in self.levels if one.group == self.levels[0].group]
        start = next(one for one in main if one.case is one.base)
        steps = [one for one in main if one is not start]
        told = []
        for one in (*steps[:1], *steps[1:][-1:]):
            below = one.previous or start
            told.append(_step_words(one, below.case, below.name))
        where = f" ({main[0].group})" if main[0].group else ""
        return "; ".join(told) + where


def compare_by(
    records: Sequence[Record], factor: str, base: Any = None, mixed: bool = False
) -> Ablation:
    """Each level of `factor` against the lowest, or `base`, in groups equal in all other settings.

    chunk_length counts as in force. By "attention", levels are models, and only the settings they
    share must be equal. Raises ValueError on an unknown factor or base, on a factor that does not
    vary alone, and on records of different identity unless `mixed`.
    """
    refuse_unknown(factor, NAMES, "setting")
    cases = gather(records, mixed)
    groups = [found for found in _groups(cases, factor) if len(found) > 1]
    if not groups:
        raise ValueError(
            f"no two cases differ in {factor} alone; measure a suite that varies it, "
            "or compare by another setting"
        )
    if base is not None:
        legal = {str(level): level for found in groups for level in found}
        refuse_unknown(str(base), legal, f"level of {factor}")
        base = legal[str(base)]
    groups.sort(key=len, reverse=True)
    names = _group_names(groups, factor)
    levels = [
        one
        for name, found in zip(names, groups, strict=True)
        for one in _levels(name, found, factor, base)
    ]
    return Ablation(factor, tuple(levels), tuple(_others(cases, levels, factor)))


def _groups(cases: Sequence[CaseResult], factor: str) -> list[dict[Any, CaseResult]]:
    """Cases that are equal but for the factor, by its level."""
    without = {factor, *HOW, *(FAMILY if factor == "attention" else ())}
    groups: dict[object, dict[Any, CaseResult]] = {}
    for case in cases:
        if factor not in case.settings:
            continue
        key = (case.mark, *((k, v) for k, v in sorted(case.settings.items()) if k not in without))
        level = _family_name(case, cases) if factor == "attention" else case.settings[factor]
        known = groups.setdefault(key, {}).get(level)
        # the same settings measured in parts: the case that measured more stands for them
        if known is None or _n_measured(case) > _n_measured(known):
            groups[key][level] = case
    return list(groups.values())


def _family_name(case: CaseResult, cases: Sequence[CaseResult]) -> str:
    keys = distinguishing([other for other in cases if other.kind == case.kind])
    return case_name(case, [key for key in keys if key in FAMILY])


def _group_names(groups: Sequence[dict[Any, CaseResult]], factor: str) -> list[str]:
    """The fewest settings that tell the groups apart, in words."""
    firsts = [next(iter(found.values())) for found in groups]
    free = FAMILY if factor == "attention" else ()
    keys = [k for k in distinguishing(firsts) if k != factor and k not in free]

    def told(names: Sequence[str], case: CaseResult) -> str:
        words = [phrase(k, case.settings[k]) for k in names if k in case.settings]
        return ", ".join([*words, *([case.mark] if case.mark else [])])

    for key in ("batch", "subject", *keys):
        fewer = [k for k in keys if k != key]
        if len({told(fewer, case) for case in firsts}) == len(firsts):
            keys = fewer
    return [told(keys, case) for case in firsts]


def _n_measured(case: CaseResult) -> int:
    return bool(case.processes()) + bool(case.quality()) + (rest_bytes(case) is not None)


def _levels(group: str, found: dict[Any, CaseResult], factor: str, base: Any) -> list[Level]:
    """Levels in order; none if the group lacks the base."""
    ordered = sorted(found, key=_order)
    usual = next((v for v in ordered if TYPICAL_DENSE in str(v)), ordered[0])
    start = usual if base is None else base
    levels: list[Level] = []
    for value in ordered if start in found else ():
        name = value if factor == "attention" else phrase(factor, value) or f"{factor} {value}"
        # models have no order
        previous = levels[-1] if levels and factor != "attention" else None
        levels.append(Level(group, value, name, found[value], found[start], previous))
    return levels


def _order(level: Any) -> tuple[bool, float, str]:
    is_number = isinstance(level, int | float)
    return not is_number, float(level) if is_number else 0.0, str(level)


def _others(cases: Sequence[CaseResult], levels: Sequence[Level], factor: str) -> list[Level]:
    """Dense cases with the settings that a group shares with them: the mark to beat."""
    if factor not in LSH_ONLY:
        return []

    def shared(case: CaseResult) -> dict[str, Any]:
        return {k: v for k, v in case.settings.items() if k not in {*HOW, *FAMILY, "attention"}}

    found = []
    for first in {one.group: one for one in levels}.values():
        like = [
            case
            for case in cases
            if case.kind == "dense"
            and case.mark == first.case.mark
            and shared(case) == shared(first.base)
            and _n_measured(case)
        ]
        names = [name_of_case(case, like) for case in like]
        found += [
            Level(first.group, None, name, case, first.base)
            for name, case in zip(names, like, strict=True)
        ]
    return found


def _row(one: Level, factor: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        factor: one.level,
        "where": one.group,
        "base": one.base.settings.get(factor),
    }
    row |= {"case": one.case.id, "status": one.case.failure[0] or "ok"}
    for name, estimate in (
        ("bits_per_dim", one.case.bits()),
        ("bits_change", one.bits_change),
        ("step_ms", one.case.time()),
        ("time_ratio", one.time_ratio),
    ):
        if estimate is not None:
            row |= {
                name: estimate.value,
                f"{name}_low": estimate.low,
                f"{name}_high": estimate.high,
            }
    row |= {"rest_bytes": rest_bytes(one.case), "memory_ratio": one.memory_ratio}
    if one.time_ratio:
        row |= {name: getattr(one.time_ratio, name) for name in ("verdict", "smallest_visible")}
    return row


def _words(one: Level, factor: str) -> dict[str, str]:
    is_base = one.case is one.base
    bits, time, memory = one.bits_change, one.time_ratio, one.memory_ratio
    status, reason = one.case.failure
    per_unit = _per_unit(one) if factor in UNITS else ("", "")
    unit = UNITS.get(factor, "unit")
    return {
        factor.replace("_", " "): f"{one.level} (base)" if is_base else str(one.level),
        "where": one.group,
        "bits per dim": interval_text(one.case.bits(), 3),
        "buys: bits against base": "" if is_base or bits is None else signed_text(bits),
        "time of a step": ms_text(one.case.time()),
        "costs: time against base": ""
        if is_base or time is None
        else f"{percent_text(time)}, {time.verdict}",
        "activations": bytes_text(rest_bytes(one.case)),
        "costs: memory against base": "" if is_base or memory is None else f"{times(memory)}x",
        f"per extra {unit}: bits": per_unit[0],
        f"per extra {unit}: time": per_unit[1],
        "failure": f"{status}: {reason}" if status else "",
    }


def _per_unit(one: Level) -> tuple[str, str]:
    """Bits and ms per unit of the factor since the level below; "" where that says nothing."""
    below = one.previous
    if below is None:
        return "", ""
    n_units = one.level - below.level
    bits = time = ""
    if set(one.case.quality()) & set(below.case.quality()):
        change = paired_difference(one.case.quality(), below.case.quality())
        bits = signed_text(change.divided_by(n_units))
    there = below.case.time()
    if there and one.case.processes():
        ratio = ratio_of_medians(one.case.processes(), below.case.processes(), one.case.noise)
        value, *ends = (
            f"{(r - 1) * there.value / n_units:+,.3g}" for r in (ratio.value, ratio.low, ratio.high)
        )
        time = f"{value} ({' to '.join(ends)}) ms" if ratio.has_interval else f"{value} ms"
    return bits, time


def _step_words(one: Level, below: CaseResult, start: str) -> str:
    """What a step up from another level buys and costs.

    "1 round to 2 rounds: -0.100 (-0.112 to -0.088) bits per dim for 1.27x the time".
    """
    if one.case.failure[0]:
        return f"{one.name}: {FAILED[one.case.failure[0]]}"
    parts = []
    if set(one.case.quality()) & set(below.quality()):
        change = paired_difference(one.case.quality(), below.quality())
        parts.append(f"{signed_text(change)} bits per dim")
    if one.case.processes() and below.processes():
        ratio = ratio_of_medians(one.case.processes(), below.processes(), one.case.noise)
        parts.append(f"{times(ratio.value)}x the time")
    return f"{start} to {one.name}: {' for '.join(parts) or 'nothing measured'}"
