"""Say which model is ahead at equal training time, and from when."""

from collections.abc import Sequence
from math import isnan

from report.reading.cases import CaseResult
from report.reading.changes import base_of, names_of_changes
from report.reading.curves import Lead, curves_of, last_bits, lead_of, mean_curve
from report.reading.judged import BITS
from report.reading.rivals import TYPICAL_ROUNDS, rivals_of
from report.reading.series import View
from report.statistics.estimates import Estimate
from report.statistics.seeds import is_different
from report.text import bracketed_text

# A lead since then, of the time that is compared, is one at its end alone.
LATE = 0.95


def trained_names(view: View) -> list[tuple[str, str, CaseResult]]:
    """Return (name, where on the axis, case) of each case of which there are learning curves."""
    if not view.varies:
        by_id = {case.id: case for case in view.cases if curves_of(case)}
        names = names_of_changes(view.cases) if view.cases else {}
        return [(name, "", by_id[case]) for case, name in names.items() if case in by_id]
    several = sum(any(curves_of(case) for case in series.cases) for series in view.series) > 1
    found = []
    for series in view.series:
        for x, case in series.points:
            if not curves_of(case):
                continue
            where = view.x_text(x) if series.on_axis else ""
            words = [series.name, where]
            if view.categories:
                words = [where, series.name if several else ""]
            found.append((", ".join(word for word in words if word), where, case))
    return found


def rival_of(view: View, case: CaseResult) -> CaseResult | None:
    """Find the trained case to set a case against.

    That is the dense one at the same x, or the only one; of changes of a base it is the base.
    """
    if not view.varies:
        base = base_of(view.cases)
        return base if curves_of(base) else None
    if view.categories:
        dense = [c for s in view.series if case in s.cases for c in s.cases if c.kind == "dense"]
        return next((c for c in reversed(dense) if curves_of(c)), None)
    line = rivals_of(view.series, "quality").dense
    if line is None:
        return None
    x = next((x for series in view.series for x, c in series.points if c is case), None)
    at = [c for at, c in line.points if curves_of(c) and (not line.on_axis or at == x)]
    return at[0] if at else None


def lead_text(lead: Lead, name: str) -> str:
    """Say how a model stands to another of that name at equal training time."""
    at = f"after {lead.at_s:,.0f} s"
    if not lead.is_visible:
        return f"not visibly different from {name} {at} ({signed(lead.difference)})"
    word = "ahead of" if lead.difference.value < 0 else "behind"
    since = " at all times," if isnan(lead.since_s) else f" from {lead.since_s:,.0f} s on,"
    since = "" if lead.since_s > LATE * lead.at_s else since
    least = "at least " if lead.is_least else ""
    size = bracketed_text(lead.difference.size(), BITS.decimals)
    return f"{word} {name}{since} {at} by {least}{size} bits per dim"


def signed(change: Estimate) -> str:
    """Write a difference in bits per dim with its sign and its interval."""
    if not change.has_interval:
        return f"{change.value:+.3f}, no interval"
    return f"{change.value:+.3f}, {change.low:+.3f} to {change.high:+.3f}"


def lead_finding(view: View) -> str:
    """Say which model ends lowest, and who is ahead at equal training time.

    That is the typical Reformer against the dense model at the last x that both have.
    """
    named = trained_names(view)
    text = lowest_text([(name, case) for name, _, case in named])
    ours = [
        (n, c, rival) for n, _, c in named if c.kind == "reformer" and (rival := rival_of(view, c))
    ]
    usual = [one for one in ours if one[1].settings.get("n_rounds") == TYPICAL_ROUNDS]
    for name, case, rival in reversed(usual or ours):
        lead = lead_of(case, rival)
        if lead:
            rival_name = next(n for n, _, c in named if c is rival)
            return f"{text}; at equal training time {name} is {lead_text(lead, rival_name)}"
    return text


def lowest_text(named: Sequence[tuple[str, CaseResult]]) -> str:
    """Name the model that ends lowest, and from which others it does not differ visibly."""
    ends = [(mean_curve(case)[-1], name, case) for name, case in named]
    point, name, best = min(ends, key=lambda end: end[0].bits.value)
    after, value = f"after {point.step:,.0f} steps", f"{point.bits.value:.3f}"
    if len(ends) == 1:
        return f"One model, {after} {name} ({value} bits per dim)"
    alike = [
        other
        for _, other, case in ends
        if case is not best and not is_different(last_bits(case), last_bits(best))
    ]
    if len(alike) + 1 == len(ends):
        among = f"{name} and {alike[0]}" if len(ends) == 2 else f"{len(ends)} models"
        most = f"{max(end.bits.value for end, _, _ in ends):.3f}"
        span = value if value == most else f"{value} to {most}"
        return f"No visible difference {after} between {among} ({span} bits per dim)"
    others = alike[0] if len(alike) == 1 else f"{len(alike)} others"
    tied = f", no visible difference from {others}" if alike else ""
    return f"Lowest: {after} {name} ({value} bits per dim){tied}"
