"""Say in a sentence, computed from the data, what a suite found.

The sentences are the titles of the figures and the summary of the page.
"""

from math import isinf

from report.comparison import (
    change_words,
    comparison_text,
    difference_text,
    no_difference_text,
)
from report.extremes import (
    BEST,
    category_finding,
    ends_text,
    no_visible_difference,
    too_few_text,
    value_text_and_sign,
)
from report.reading.cases import CaseResult
from report.reading.changes import base_of, changes_of
from report.reading.differences import memory_ratio, score_difference, time_ratio
from report.reading.judged import judged_of
from report.reading.measures import MEASURES, Measured, rest_bytes
from report.reading.rivals import (
    Rivals,
    at_in_precision,
    common_points,
    crossover_of,
    means_of,
    rivals_of,
)
from report.reading.series import Series, View, name_by_settings
from report.statistics.estimates import BAND
from report.text import (
    STATUS_TEXT,
    all_digits,
    factor_digits,
    factor_text,
    length_text,
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
    rival = found.dense if line is not found.dense else None
    if rival is None or view.varies != "length":
        text = _first_to_last(view, line, rival, measure)
    else:
        text = _at_longest(view, line, rival, measure)
    return text + local_text(view, found, measure)


def local_text(view: View, found: Rivals, measure: str) -> str:
    """Say how the Reformer stands to local attention at the last x of both; "" without one."""
    ours, local = found.ours, found.local
    common = common_points(ours, local, MEASURES[measure]) if ours and local else []
    if ours is None or local is None or not common:
        return ""
    x, a, b = common[-1]
    where = f"at {x:,.0f} tokens" if view.varies == "length" else f"with {view.x_text(x)}"
    told = f"{ours.name} {comparison_text(a, b, measure)} {local.name}"
    return f"; {where} {told}"


def rival_name(line: Series, measure: str) -> str:
    """Name a dense line; where memory is told, with what saves memory in its layers."""
    means = means_of(line)
    is_told = measure != "memory" or means in line.name
    return line.name if is_told else f"{line.name} ({means})"


def first_failure_text(line: Series, measured: Measured) -> str:
    """Name the first failure of a line, such as "dense naive out of memory at 32K".

    It is "" where nothing failed that was to be measured.
    """
    for x, case in line.points:
        status, _ = case.failure
        if status and status != "skipped" and measured(case) is None:
            at = f" at {length_text(x)}" if line.on_axis else ""
            return f"{line.name} {STATUS_TEXT[status]}{at}"
    return ""


def _at_longest(view: View, ours: Series, dense: Series, measure: str) -> str:
    measured = MEASURES[measure]
    common = common_points(ours, dense, measured)
    lost = first_failure_text(dense, measured) or first_failure_text(ours, measured)
    ending = f"; {lost}" if lost else ""
    if not common:
        return f"{ours.name} and {dense.name} have no length in common{ending}"
    x, a, b = common[-1]
    name = rival_name(dense, measure)
    at = at_in_precision(ours, view.series)
    text = f"{at} {x:,.0f} tokens {ours.name} {comparison_text(a, b, measure)} {name}"
    found = crossover_of(ours, dense) if measure == "time" else None
    if found:
        where = found.text()
        beyond = isinf(found.estimate.value) or found.estimate.value == 0
        text += f"; crossover {where}" if beyond else f"; crossover at {where} tokens"
    return text + ending


def _first_to_last(view: View, line: Series, dense: Series | None, measure: str) -> str:
    measured = MEASURES[measure]
    both = common_points(line, dense, measured) if dense and dense.on_axis else []
    points = [(x, c) for x, c in line.points if measured(c) is not None]
    if len(both) > 1:  # both are told over the same range
        points = [(x, one) for x, one, _ in both]
    unit = NOUN_OF_SETTING.get(view.varies, view.varies.replace("_", " "))
    (x0, first), (x1, last) = points[0], points[-1]
    if x0 == x1 or not line.on_axis:
        return too_few_text(view, measure, [line.name])
    a = all_digits(x0)
    b = plural(int(x1), unit) if x1 == int(x1) else f"{x1:g} {unit}"
    if measure == "quality":
        text = f"From {a} to {b}, {line.name} {gain_text(last, first)}"
    else:
        growth = growth_text(last, first, measure)
        text = f"From {a} to {b} the {NOUN_OF_MEASURE[measure]} grows {growth} with {line.name}"
    lost = [first_failure_text(one, measured) for one in (line, dense) if one]
    ending = "".join(f"; {what}" for what in lost if what)
    if dense is None:
        return text + ending
    name = rival_name(dense, measure)
    if dense.on_axis:
        if len(both) < 2:
            return text + ending
        (_, _, start), *_, (_, _, end) = both
        if measure == "quality":
            return f"{text}, {name} {gain_text(end, start)}{ending}"
        return f"{text}, {growth_text(end, start, measure)} with {name}{ending}"
    common = common_points(line, dense, measured)
    if not common:
        return text + ending
    return f"{text}; with {b} it {comparison_text(last, common[-1][2], measure)} {name}{ending}"


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
    seen = [one for one in told_of if _is_visible(one[1].case, base, measure)]
    worse, better = ([one for one in seen if side * one[0] > 0] for side in (1, -1))
    told = []
    for words, side in (("worse", worse), ("better", better)):
        if side:
            _, most = max(side, key=lambda one: abs(one[0]))
            by = change_words(most.case, base, measure)
            told.append(f"{len(side)} {words}, most of all {most.name}, {by}")
    if len(seen) < len(told_of):
        told.append(f"{len(told_of) - len(seen)} show no difference")
    if len(told_of) < len(found):
        told.append(f"{len(found) - len(told_of)} without an interval")
    return f"Of {plural(len(found), 'change')} of {name}: {'; '.join(told)}"


def _has_interval(case: CaseResult, base: CaseResult, measure: str) -> bool:
    """Return whether a difference can be judged; memory is exact enough without an interval."""
    change = score_difference(case, base) if measure == "quality" else time_ratio(case, base)
    return measure == "memory" or (change is not None and change.has_interval)


def _is_visible(case: CaseResult, base: CaseResult, measure: str) -> bool:
    """Return whether two cases differ on a measure, either way."""
    if measure == "memory":
        return not 1 / BAND <= (memory_ratio(case, base) or 1.0) <= BAND
    return not no_visible_difference(case, base, measure)


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
        found = [(v, x) for x, case in line.points if (v := measured(case)) is not None]
        if len(found) > 1:
            value, x = min(found, key=lambda entry: sign * entry[0])
            best.append(f"{line.name} at {x:g} ({told(value)})")
        single += [f"{line.name} at {x:g}" for _, x in found if len(found) == 1]
    if not best:
        return too_few_text(view, measure, single)
    return f"{BEST[measure]}: {'; '.join(best)}"
