"""Say in a sentence, computed from the data, what a suite found.

The sentences are the titles of the figures and the summary of the page.
"""

from collections.abc import Sequence

from report.comparison import (
    change_words,
    difference_text,
    no_difference_text,
    standing_text,
)
from report.extremes import (
    BEST,
    category_finding,
    ends_text,
    no_visible_difference,
    too_few_text,
    value_text_and_sign,
)
from report.longest import first_failure_text, longest_finding, rival_name
from report.reading.cases import CaseResult
from report.reading.changes import base_of, changes_of
from report.reading.differences import memory_ratio, score_difference, time_ratio
from report.reading.judged import judged_of
from report.reading.measures import MEASURES, rest_bytes
from report.reading.rivals import (
    Rivals,
    common_points,
    rivals_of,
)
from report.reading.series import Series, View, name_by_settings
from report.statistics.estimates import BAND
from report.statistics.holm import holm
from report.text import (
    all_digits,
    factor_digits,
    factor_text,
    plural,
)

UNKNOWN_CHANGE = "changes by an unknown amount (no seed in common)"
NOUN_OF_MEASURE = {"time": "time of a step", "memory": "memory for activations"}
NOUN_OF_SETTING = {
    "n_rounds": "hash round",
    "n_layers": "layer",
    "length": "token",
    "bucket_size": "position",
    "d_ff": "hidden unit",
    "n_pairs": "pair",
}


def suite_finding(view: View, measure: str) -> str:
    """Say in one sentence what a suite found on "time", "memory" or "quality".

    Over lengths it compares the Reformer with dense attention at the longest length; over bucket
    sizes it names the best and the worst, over learning rates the best of each line; over other
    settings it tells the change from first to last. Local attention is told beside. Of changes of a
    base it tells how many are visible, and the largest.
    """
    if view.categories:
        return category_finding(view, measure)
    found = rivals_of(view.series, measure)
    line = found.ours or found.local or found.dense
    if line is None:
        return f"{view.name}: no {measure} was measured"
    if not view.varies:
        return changes_finding(view, measure)
    if view.varies == "bucket_size":
        return _best_and_worst(view, measure)
    if view.varies == "learning_rate":
        return _best_of_each(view, measure)
    if view.varies == "length" and found.dense and found.dense is not line:
        return longest_finding(view, line, found, measure)
    return _first_to_last(view, line, found, measure)


def _first_to_last(view: View, line: Series, found: Rivals, measure: str) -> str:
    measured = MEASURES[measure]
    dense, local = (one if one is not line else None for one in (found.dense, found.local))
    both = common_points(line, dense, measured) if dense and dense.on_axis else []
    points = [(x, c) for x, c in line.points if measured(c) is not None]
    if len(both) > 1:  # both are told over the same range
        points = [(x, one) for x, one, _ in both]
    (x0, first), (x1, last) = points[0], points[-1]
    if x0 == x1 or not line.on_axis:
        return too_few_text(view, measure, [line.name])
    span = f"From {all_digits(x0)} to {_x_words(view, x1)}"
    if measure == "quality":
        text = f"{span}, {line.name} {gain_text(last, first)}"
    else:
        growth = growth_text(last, first, measure)
        text = f"{span} the {NOUN_OF_MEASURE[measure]} grows {growth} with {line.name}"
    if dense and len(both) > 1:
        (_, _, start), *_, (_, _, end) = both
        name = rival_name(dense, measure)
        told = f"{growth_text(end, start, measure)} with {name}"
        text += f", {f'{name} {gain_text(end, start)}' if measure == 'quality' else told}"
    rivals: dict[float, list[tuple[CaseResult, str]]] = {}
    for other in [one for one in (dense, local if found.ours else None) if one]:
        name = rival_name(other, measure) if other is dense else other.name
        name = "the latter" if other is dense and len(both) > 1 else name
        for x, _, case in common_points(line, other, measured)[-1:]:
            rivals.setdefault(x, []).append((case, name))
    who = "the former" if len(both) > 1 else "it"
    for x, others in rivals.items():
        told = standing_text(dict(line.points)[x], others, measure)
        text += f"; with {_x_words(view, x)} {who} {told}"
    lost = [first_failure_text(one, measured) for one in (line, dense) if one]
    return text + "".join(f"; {what}" for what in lost if what)


def _x_words(view: View, x: float) -> str:
    unit = NOUN_OF_SETTING.get(view.varies, view.varies.replace("_", " "))
    return plural(int(x), unit) if x == int(x) else f"{x:g} {unit}"


def changes_finding(view: View, measure: str) -> str:
    """Say how many changes of the base make it worse and better on a measure, and the largest."""
    base, changes = base_of(view.cases), changes_of(view.cases)
    measured, name = MEASURES[measure], name_by_settings(base, ())
    start = measured(base)
    found = [(v, c) for c in changes if (v := measured(c.case)) is not None]
    if start is None or not found:
        return f"{view.name}: no change of {name} has a {measure} beside it"
    _, sign = value_text_and_sign(view, measure)
    told_of = [(sign * (v - start), c) for v, c in found if _has_interval(c.case, base, measure)]
    visible = _are_visible([c.case for _, c in told_of], base, measure)
    seen = [one for one, is_seen in zip(told_of, visible, strict=True) if is_seen]
    worse, better = ([one for one in seen if side * one[0] > 0] for side in (1, -1))
    told = []
    for words, side in (("worse", worse), ("better", better)):
        if side:
            _, most = max(side, key=lambda one: abs(one[0]))
            by = change_words(most.case, base, measure)
            most_of_all = ", most of all" if len(side) > 1 else ":"
            told.append(f"{len(side)} {words}{most_of_all} {most.name}, {by}")
    if len(seen) < len(told_of):
        told.append(f"{len(told_of) - len(seen)} show no visible difference")
    if len(told_of) < len(found):
        told.append(f"{len(found) - len(told_of)} without an interval")
    return f"Of {plural(len(found), 'change')} of {name}: {'; '.join(told)}"


def _has_interval(case: CaseResult, base: CaseResult, measure: str) -> bool:
    """Return whether a difference can be judged; memory is exact enough without an interval."""
    change = score_difference(case, base) if measure == "quality" else time_ratio(case, base)
    return measure == "memory" or (change is not None and change.has_interval)


def _are_visible(cases: Sequence[CaseResult], base: CaseResult, measure: str) -> list[bool]:
    """Return which cases differ from the base; of so many tests Holm's procedure takes account."""
    if measure == "memory":
        return [not 1 / BAND <= (memory_ratio(case, base) or 1.0) <= BAND for case in cases]
    difference = score_difference if measure == "quality" else time_ratio
    found = [change for case in cases if (change := difference(case, base))]
    stands = holm([min(change.p_above, change.p_below) for change in found])
    differs = [not no_visible_difference(case, base, measure) for case in cases]
    return [one and two for one, two in zip(stands, differs, strict=True)]


def growth_text(last: CaseResult, first: CaseResult, measure: str) -> str:
    """Tell the last case over the first as a factor, with an interval for time."""
    if measure == "time":
        ratio = time_ratio(last, first)
        return factor_text(ratio) if ratio else "by an unknown factor"
    base = rest_bytes(first)
    return f"{factor_digits((rest_bytes(last) or 0) / base)}x" if base else "from nothing"


def gain_text(last: CaseResult, first: CaseResult) -> str:
    """Tell how much better or worse the quality gets from the first case to the last.

    It is paired over seeds.
    """
    change, judged = score_difference(last, first), judged_of(last)
    if change is None:
        return UNKNOWN_CHANGE
    told = difference_text(change, judged)
    return f"gets {told}" if told else f"shows {no_difference_text(change, judged)}"


def _best_and_worst(view: View, measure: str) -> str:
    measured = MEASURES[measure]
    found = [
        (value, f"{s.name} at bucket size {x:g}", case)
        for s in view.series
        if s.on_axis
        for x, case in s.points
        if (value := measured(case)) is not None
    ]
    if len(found) < 2:
        return too_few_text(view, measure, [name for _, name, _ in found])
    told, _ = value_text_and_sign(view, measure)
    text = ends_text(found, view, measure, "combinations")
    lines = rivals_of(view.series, measure)
    beside = ""
    for rival in (lines.dense, lines.local):
        values = [v for c in (rival.cases if rival else []) if (v := measured(c)) is not None]
        if rival and values:
            beside += f"; {rival_name(rival, measure)}: {told(values[0])}"
    if beside and text.startswith(BEST[measure]):
        text = f"Of the LSH models {text[0].lower()}{text[1:]}"
    return text + beside


def _best_of_each(view: View, measure: str) -> str:
    measured, (told, sign) = MEASURES[measure], value_text_and_sign(view, measure)
    best, single = [], []
    for line in view.series:
        found = [(v, x, case) for x, case in line.points if (v := measured(case)) is not None]
        if len(found) > 1:
            value, x, case = min(found, key=lambda entry: sign * entry[0])
            alike = [
                f"{at:g}"
                for _, at, other in found
                if other is not case and no_visible_difference(case, other, measure)
            ]
            edge = {found[0][1]: "the smallest tried", found[-1][1]: "the largest tried"}.get(x)
            tied = f"no visible difference from {' and '.join(alike)}" if alike else ""
            words = ", ".join(filter(None, (told(value), edge, tied)))
            best.append(f"{line.name} at {x:g} ({words})")
        single += [f"{line.name} at {x:g}" for _, x, _ in found if len(found) == 1]
    if not best:
        return too_few_text(view, measure, single)
    return f"{BEST[measure]}: {'; '.join(best)}"
