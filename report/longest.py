"""Say in a sentence how the Reformer stands at the longest lengths, computed from the data."""

from report.comparison import comparison_text, standing_text
from report.reading.cases import CaseResult
from report.reading.differences import score_difference
from report.reading.judged import judged_of
from report.reading.measures import MEASURES, Measured
from report.reading.rivals import (
    Rivals,
    common_points,
    crossover_of,
    means_of,
    plain_name,
    way_of,
    way_text,
)
from report.reading.series import Series, View
from report.text import STATUS_TEXT, bytes_text, duration_text, length_text


def longest_finding(view: View, line: Series, found: Rivals, measure: str) -> str:
    """Say how a line stands to its rivals at the longest lengths that it shares with them.

    It begins with the longest length of a Reformer, if dense attention was not measured so far. Of
    times it tells too where dense attention is overtaken, or beyond that the fastest published
    Reformer; of quality the best number of rounds.
    """
    measured, dense = MEASURES[measure], found.dense
    assert dense is not None
    lost = first_failure_text(dense, measured) or first_failure_text(line, measured)
    ending = f"; {lost}" if lost else ""
    common = common_points(line, dense, measured)
    if not common:
        return f"{line.name} and {dense.name} have no length in common{ending}"
    at, _, theirs = common[-1]
    name, cases = plain_name(line), dict(line.points)
    rivals = {at: [(theirs, rival_name(dense, measure))]}
    local = found.local if found.local is not line else None
    for x, _, other in common_points(line, local, measured)[-1:] if local else []:
        rivals.setdefault(x, []).append((other, "local attention"))
    parts = []
    longest, x = furthest(view, line, measured)
    if x > at:
        told = value_words(dict(longest.points)[x], measure)
        if longest is line and x in rivals:
            words = standing_text(cases[x], rivals.pop(x), measure)
            told = words if measure == "memory" else f"{told} and {words}"
        parts.append(f"at {x:,.0f} tokens {plain_name(longest)} {told}")
    for length, others in rivals.items():
        told = standing_text(cases[length], others, measure)
        parts.append(f"at {length:,.0f} tokens {name} {told}")
    if measure == "time":
        # of three lengths there is no room for more
        peer = peer_text(view, line) if longest is line and x > at else ""
        parts.append(peer or crossing_text(line, dense))
    if measure == "quality":
        parts.append(best_rounds_text(view, line, dense, at))
    told_of = [one for one in view.series if any(measured(c) is not None for c in one.cases)]
    text = "; ".join(filter(None, parts))
    way = way_text(line, told_of)
    text = f"{way}, {text}" if way else text
    return f"{text[0].upper()}{text[1:]}{ending}"


def rival_name(line: Series, measure: str) -> str:
    """Name a dense line; where memory is told, with what saves memory in its layers."""
    means, name = means_of(line), plain_name(line)
    is_said = measure != "memory" or means in name
    return name if is_said else f"{name} ({means})"


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


def furthest(view: View, line: Series, measured: Measured) -> tuple[Series, float]:
    """Find the line of its kind, run in its way, that was measured at the greatest length.

    Of those that go equally far it is the line itself.
    """
    alike = [s for s in view.series if s.kind == line.kind and way_of(s) == way_of(line)]
    reached = [
        (x, one is line, i)
        for i, one in enumerate(alike)
        for x, case in one.points
        if measured(case) is not None
    ]
    x, _, i = max(reached)
    return alike[i], x


def value_words(case: CaseResult, measure: str) -> str:
    """Say what a case takes, needs or reaches."""
    value = MEASURES[measure](case) or 0.0
    if measure == "time":
        alone = case.settings.get("subject") == "attention"
        return f"takes {duration_text(value)} a {'call' if alone else 'step'}"
    if measure == "memory":
        return f"needs {bytes_text(value)} for activations"
    return f"reaches {judged_of(case).text(value)}"


def crossing_text(line: Series, dense: Series) -> str:
    """Say from which length on a line is faster than a dense one; "" below two lengths."""
    found = crossover_of(line, dense)
    if not found:
        return ""
    crossover, where, rest = found.phrase().partition("crossover")
    rival = "with dense attention"
    return f"{crossover}{where} {rival}{rest}" if where else f"{crossover} {rival}"


def peer_text(view: View, line: Series) -> str:
    """Say how a line stands to the fastest published Reformer at the longest length in common."""
    measured = MEASURES["time"]
    found = [
        (x, -(measured(other) or 0.0), i, case, other)
        for i, peer in enumerate(view.series)
        if peer.kind == "peer"
        for x, case, other in common_points(line, peer, measured)
    ]
    if not found or line.kind != "reformer":
        return ""
    x, _, i, case, other = max(found, key=lambda one: one[:3])
    told = comparison_text(case, other, "time")
    return f"at {x:,.0f} it {told} {plain_name(view.series[i])}, the fastest published one"


def best_rounds_text(view: View, line: Series, dense: Series, x: float) -> str:
    """Say how the best number of rounds stands to a dense line at a length.

    It is "" where no other number of rounds than the line's own is visibly better.
    """
    measured = MEASURES["quality"]
    ours, theirs = dict(line.points)[x], dict(dense.points)[x]
    others = [
        (one, case)
        for one in view.series
        if one.kind == line.kind == "reformer" and way_of(one) == way_of(line)
        for at, case in one.points
        if at == x and measured(case) is not None
    ]
    sign = -1 if judged_of(ours).higher_is_better else 1
    best, case = min(others, key=lambda one: sign * (measured(one[1]) or 0.0), default=(line, ours))
    change = score_difference(case, ours)
    if best is line or change is None or not change.leaves_out_0:
        return ""
    return f"{plain_name(best)} {comparison_text(case, theirs, 'quality')} {plain_name(dense)}"
