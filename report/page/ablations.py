"""The ablation view of a page holds every setting that varies alone, against each of its levels."""

import json
from collections.abc import Sequence
from math import isnan
from typing import Any

from report.compare.ablation import Ablation, compare_with_each
from report.compare.levels import Level
from report.reading.gathering import gather
from report.reading.judged import judged_of
from suites.effects import HOW
from suites.engine.store.records import Record
from suites.settings import SETTINGS

FIRST = "n_rounds"  # what is asked most of a Reformer


def ablations_json(records: Sequence[Record], varied: Sequence[str], mixed: bool) -> str:
    """Return {setting: {base: what was found}} for the page's script; "" where none varies.

    varied: the settings that suites vary, which come next to FIRST. It is safe inside HTML: no text
    in it can end the element.
    """
    found: dict[str, dict[str, Any]] = {}
    cases = gather(records, mixed)
    for factor in dict.fromkeys((FIRST, *varied, *SETTINGS)):
        if factor in HOW:
            continue
        try:
            compared = compare_with_each(cases, factor)
        except ValueError:  # no two cases differ in it alone
            continue
        found[factor.replace("_", " ")] = {name: _told(one) for name, one in compared.items()}
    text = json.dumps(found, ensure_ascii=True) if found else ""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _told(found: Ablation) -> dict[str, Any]:
    table = found.for_people()
    main = [one for one in found.levels if one.group == found.levels[0].group]
    points = [point for one in main if (point := _point(one)) is not None]
    return {
        "finding": found.finding(),
        "columns": list(map(str, table.columns)),
        "rows": [list(map(str, row)) for row in table.to_numpy()],
        "points": points,
        "score": judged_of(found.levels[0].case).difference,
    }


def _point(one: Level) -> dict[str, Any] | None:
    """Return a level as a point of quality against cost, with the ends of its intervals."""
    score, time = one.score_change, one.time_ratio
    if score is None or time is None:
        return None
    numbers = {
        **_ends("score", score.value, score.low, score.high),
        **_ends("time", time.value, time.low, time.high),
    }
    return {"name": one.name, "isBase": one.case is one.base, **numbers}


def _ends(name: str, value: float, low: float, high: float) -> dict[str, float]:
    return {
        name: value,
        f"{name}Low": value if isnan(low) else low,
        f"{name}High": value if isnan(high) else high,
    }
