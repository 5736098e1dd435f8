"""Say of several cases which is best and worst, or what each part of the Reformer changes."""

from collections.abc import Callable

from report.comparison import change_words, comparison_text, no_difference_text
from report.reading.cases import CaseResult
from report.reading.differences import memory_ratio, score_difference, time_ratio
from report.reading.judged import judged_of, judged_together
from report.reading.measures import MEASURES, rest_bytes
from report.reading.parts import LAST, Change, changes_of
from report.reading.series import View
from report.statistics.estimates import BAND, Ratio
from report.text import bytes_text, factor_digits, three_digits

BEST = {"time": "Fastest", "memory": "Least memory", "quality": "Best"}
WORST = {"time": "slowest", "memory": "most", "quality": "worst"}
VALUE_TEXT: dict[str, Callable[[float], str]] = {
    "time": lambda v: f"{three_digits(v)} ms a step",
    "memory": bytes_text,
}


def value_text_and_sign(view: View, measure: str) -> tuple[Callable[[float], str], int]:
    """Return what writes a value of a measure, and -1 where higher is better, else 1."""
    if measure != "quality":
        return VALUE_TEXT[measure], 1
    judged = judged_together(view.cases)
    return judged.text, -1 if judged.higher_is_better else 1


def category_finding(view: View, measure: str) -> str:
    """Say what each part changes, or name the best and the worst category.

    At the size at which most of them were measured.
    """
    measured = MEASURES[measure]
    by_size = [
        (
            series.name,
            [(v, x, case) for x, case in series.points if (v := measured(case)) is not None],
        )
        for series in view.series
    ]
    size, points = max(reversed(by_size), key=lambda one: len(one[1]))
    found = [(value, view.x_text(x), case) for value, x, case in points]
    if len(found) < 2:
        return too_few_text(view, measure, [name for _, name, _ in found])
    changes = [one for one in changes_of(view) if one.size == size and one.beside == LAST]
    told = [text for one in changes if (text := part_text(one, measure))]
    where = f"At {size}, e" if size else "E"
    if told:
        unit = {
            "time": ", a step is",
            "memory": ", memory for activations is",
            "quality": ":",
        }
        return f"{where}ach beside the other two{unit[measure]} {', '.join(told)}"
    text = ends_text(found, view, measure, "models")
    if not size:
        return text
    begins_with_a_name = not text.startswith((*BEST.values(), "No "))
    return f"At {size}: {text if begins_with_a_name else text[0].lower() + text[1:]}"


def part_text(one: Change, measure: str) -> str:
    """Say what a part changes beside the other parts; "" where that was not measured."""
    pair = one.trained if measure == "quality" else (one.more, one.less)
    more, less = pair or (None, None)
    if more is None or less is None:
        return ""
    told = change_words(more, less, measure)
    if measure == "time":
        ratio = time_ratio(more, less)
        return f"{told or same_speed(ratio)} with {one.part}" if ratio else ""
    if measure == "memory":
        return f"{told or 'the same'} with {one.part}" if memory_ratio(more, less) else ""
    score = score_difference(more, less)
    if score is None:
        return ""
    return f"{told or no_difference_text(score, judged_of(more))} with {one.part}"


def same_speed(ratio: Ratio) -> str:
    """Say that neither of two is seen to be faster, and within which factors that is known."""
    low, high = factor_digits(ratio.low), factor_digits(ratio.high)
    within = f" ({low}x to {high}x)" if ratio.has_interval else ""
    return f"not visibly different{within}"


def ends_text(
    found: list[tuple[float, str, CaseResult]], view: View, measure: str, noun: str
) -> str:
    """Name the best and the worst of (value, name, case), or say that no difference is visible.

    Of two, it is how the better one stands to the other. Of more, those that do not differ visibly
    from the best are named, or counted.
    """
    told, sign = value_text_and_sign(view, measure)
    best, best_name, one = min(found, key=lambda entry: sign * entry[0])
    worst, worst_name, other = max(found, key=lambda entry: sign * entry[0])
    if no_visible_difference(one, other, measure):
        span = told(best) if told(best) == told(worst) else f"{told(best)} to {told(worst)}"
        among = f"{len(found)} {noun}" if len(found) > 2 else f"{best_name} and {worst_name}"
        return f"No visible difference between {among} ({span})"
    if len(found) == 2:
        return f"{best_name} {comparison_text(one, other, measure)} {worst_name}"
    alike = [
        name
        for _, name, case in found
        if case is not one and no_visible_difference(one, case, measure)
    ]
    others = alike[0] if len(alike) == 1 else f"{len(alike)} others"
    tied = f", no visible difference from {others}" if alike else ""
    ends = (BEST[measure], best_name, told(best)), (WORST[measure], worst_name, told(worst))
    first, last = (f"{word}: {name} ({value})" for word, name, value in ends)
    return f"{first}{tied}; {last}"


def too_few_text(view: View, measure: str, names: list[str]) -> str:
    """Say that one point was measured, or none: that is no finding."""
    one = f"one point measured, {names[0]}" if names else f"no {measure} was measured"
    return f"{view.name}: {one}"


def no_visible_difference(a: CaseResult, b: CaseResult, measure: str) -> bool:
    """Return whether two cases show no difference on a measure.

    For time: the verdict is neither faster nor slower; for memory: b takes at most 3 % more than a;
    for quality: the interval over seeds holds 0, or there is none.
    """
    if measure == "time":
        ratio = time_ratio(a, b)
        return ratio is None or ratio.verdict in ("same", "ambiguous")
    if measure == "memory":
        return (rest_bytes(b) or 0) <= BAND * (rest_bytes(a) or 0)
    change = score_difference(a, b)
    return change is None or not change.leaves_out_0
