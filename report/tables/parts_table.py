"""A table tells what each part of the Reformer changes in time, memory and bits per dim."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from report.comparison import size_words
from report.reading.cases import CaseResult
from report.reading.differences import bits_difference, memory_ratio, time_ratio
from report.reading.parts import PARTS, Change, changes_of
from report.reading.series import View
from report.tables.markup import without_empty
from report.text import bytes_text, factor_text, signed_text, speed_words
from suites.engine.sweep.prediction import predicted_peak
from suites.settings import SETTINGS, Settings, change

# What a model has in the place of each part.
WITHOUT: dict[str, Mapping[str, Any]] = {
    "LSH": {"attention": "sdpa", "shared_qk": True},
    "reversible layers": {"reversible": False},
    "pieces": {"ff_chunks": 1, "loss_chunks": 1},
}
assert tuple(WITHOUT) == PARTS


def parts_table(view: View) -> pd.DataFrame | None:
    """Return a row per size and part: with it over without it, first and last of all parts.

    It is None for a suite that does not vary them all. Predicted peaks stand beside, also where the
    model without the part was not measured.
    """
    rows = [_row(one) for one in changes_of(view)]
    if not rows:
        return None
    return without_empty(pd.DataFrame(rows))


def _row(one: Change) -> dict[str, str]:
    row = {"size": one.size, "part": one.part, "is": one.beside}
    more, less = one.more, one.less
    for part in ("forward", "backward", "step"):
        ratio = time_ratio(more, less, part) if more and less else None
        row[f"time, {part}"] = (speed_words(ratio) or factor_text(ratio)) if ratio else ""
    activations = memory_ratio(more, less) if more and less else None
    row["activations"] = (size_words(activations) or "the same") if activations else ""
    row["predicted peak, without and with"] = _predicted(one)
    a, b = one.trained or (None, None)
    bits = bits_difference(a, b) if a and b else None
    same = "the same function" if one.trained is None and more and more.time() else ""
    row["bits per dim"] = signed_text(bits) if bits else same
    return row


def _predicted(one: Change) -> str:
    """Tell the predicted peak without the part and with it, from the settings of either."""
    if one.more is None:
        return ""
    with_it = settings_of(one.more)
    peaks = predicted_peak(change(with_it, **WITHOUT[one.part])), predicted_peak(with_it)
    return " and ".join(map(bytes_text, peaks)) if None not in peaks else ""


def settings_of(case: CaseResult) -> Settings:
    """Return the settings of a case; those without effect on it have their defaults."""
    return Settings(**{name: value for name, value in case.settings.items() if name in SETTINGS})
