"""A level is told as a row of numbers, as a row of words, or as a step in a sentence."""

from typing import Any

from report.compare.levels import Level
from report.comparison import difference_text, no_difference_text
from report.reading.cases import CaseResult
from report.reading.differences import score_difference, time_ratio, time_verdict
from report.reading.judged import Judged, judged_of, score_of
from report.reading.measures import rest_bytes
from report.statistics.estimates import Estimate
from report.text import (
    STATUS_TEXT,
    bytes_text,
    factor_digits,
    interval_text,
    ms_text,
    percent_text,
    three_digits,
)

# Factors for which "per extra unit" says something.
UNIT_OF_FACTOR = {"n_rounds": "round", "n_layers": "layer"}


def row_of(one: Level, factor: str) -> dict[str, Any]:
    """Return the numbers of a level, with the ends of their intervals."""
    row: dict[str, Any] = {
        factor: one.level,
        "where": one.group,
        "base": one.base.settings.get(factor),
    }
    row |= {"case": one.case.id, "status": one.case.failure[0] or "ok"}
    for name, estimate in (
        (judged_of(one.case).name, score_of(one.case)),
        (judged_of(one.case).change, one.score_change),
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
        row |= {
            "verdict": time_verdict(one.case, one.base, one.time_ratio),
            "smallest_visible": one.time_ratio.smallest_visible,
        }
    return row


def words_of(one: Level, factor: str) -> dict[str, str]:
    """Return what a level buys and costs in words, by column; "" where nothing is known."""
    is_base = one.case is one.base
    judged, change = judged_of(one.case), one.score_change
    time, memory = one.time_ratio, one.memory_ratio
    status, reason = one.case.failure
    per_unit = _per_unit(one) if factor in UNIT_OF_FACTOR else ("", "")
    unit = UNIT_OF_FACTOR.get(factor, "unit")
    level = one.name if isinstance(one.level, bool) else str(one.level)
    return {
        factor.replace("_", " "): f"{level} (base)" if is_base else level,
        "where": one.group,
        judged.head: interval_text(score_of(one.case), judged.decimals),
        f"buys: {judged.short} against base": ""
        if is_base or change is None
        else change_text(change, judged),
        "time": ms_text(one.case.time()),
        "costs: time against base": ""
        if is_base or time is None
        else f"{percent_text(time)}, {time_verdict(one.case, one.base, time)}",
        "activations": bytes_text(rest_bytes(one.case)),
        "costs: memory against base": ""
        if is_base or memory is None
        else f"{factor_digits(memory)}x",
        f"per extra {unit}: {judged.short}": per_unit[0],
        f"per extra {unit}: time": per_unit[1],
        "failure": f"{status}: {reason}" if status else "",
    }


def _per_unit(one: Level) -> tuple[str, str]:
    """Tell the score and ms that a unit of the factor adds to the level below; "" if unknown."""
    below = one.previous
    if below is None:
        return "", ""
    n_units = one.level - below.level
    score = time = ""
    change = score_difference(one.case, below.case)
    if change is not None:
        score = change_text(change.divided_by(n_units), judged_of(one.case))
    there = below.case.time()
    ratio = time_ratio(one.case, below.case)
    if there and ratio is not None:
        changes = [(r - 1) * there.value / n_units for r in (ratio.value, ratio.low, ratio.high)]
        value, *ends = ("+" * (ms >= 0) + three_digits(ms) for ms in changes)
        time = f"{value} ({' to '.join(ends)}) ms" if ratio.has_interval else f"{value} ms"
    return score, time


def change_text(change: Estimate, judged: Judged) -> str:
    """Tell a difference without its unit: "0.053 (0.043 to 0.063) better"."""
    told = difference_text(change, judged) or no_difference_text(change, judged)
    return told.replace(f" {judged.difference}", "")


def step_text(one: Level, below: CaseResult, start: str) -> str:
    """Say what a step up from another level buys and costs.

    "1 round to 2 rounds: 0.100 (0.088 to 0.112) bits per dim better for 1.27 times the time".
    """
    if one.case.failure[0]:
        return f"{one.name}: {STATUS_TEXT[one.case.failure[0]]}"
    parts = []
    judged = judged_of(one.case)
    change, ratio = score_difference(one.case, below), time_ratio(one.case, below)
    if change is not None:
        parts.append(difference_text(change, judged) or no_difference_text(change, judged))
    if ratio is not None:
        less = ratio.value < 1 and not ratio.low <= 1 <= ratio.high
        word, factor = ("less", 1 / ratio.value) if less else ("the", ratio.value)
        parts.append(f"{factor_digits(factor)} times {word} time")
    return f"{start} to {one.name}: {' for '.join(parts) or 'nothing measured'}"
