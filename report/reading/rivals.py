"""Lines of a suite are set against each other: which is typical, and where one overtakes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

from report.reading.cases import CaseResult
from report.reading.judged import judged_of, score_of
from report.reading.measures import MEASURES, Measured
from report.reading.series import USUAL_PRECISION, Series
from report.statistics.estimates import Estimate
from report.statistics.scaling import Crossover, Scaling, crossover, scaling
from report.text import STATUS_TEXT
from suites.labels import means_text, phrase

# What stands for the Reformer, and for its rivals.
TYPICAL_ROUNDS = 4
TYPICAL_DENSE = "sdpa"
# What was tried and did not succeed; "skipped" and "missing" were not tried.
FAILURES = ("oom", "timeout", "crash", "diverged")
NOTHING = Estimate(nan)

IN_GRAPHS = f", {phrase('cuda_graph', True)}"
ORDINARY, WITH_MEANS = "ordinary layers", "reversible and chunked"


@dataclass(frozen=True, slots=True)
class Rivals:
    """Rivals are the lines of a suite that stand for the Reformer, dense and local attention."""

    ours: Series | None = None
    dense: Series | None = None
    local: Series | None = None


def rivals_of(series: Sequence[Series], measure: str, measured: Measured | None = None) -> Rivals:
    """Find the lines to set against each other on "time", "memory" or "quality", run in one way.

    That is float32, and on a GPU bfloat16, in which one trains there, where the Reformer and dense
    attention were both measured in it, and launched by the host. measured: another reading of the
    measure.
    """
    measured = measured or MEASURES[measure]
    identities = [record["identity"] for s in series for c in s.cases for record in c.records]
    on_gpu = any(identity.get("device") != "cpu" for identity in identities)
    preferred = "bfloat16" if on_gpu else USUAL_PRECISION
    ways = sorted({way_of(line) for line in series}, key=lambda way: (way[0] != preferred, way[1]))
    alike = [[line for line in series if way_of(line) == one] for one in ways]
    found = [_rivals_among(lines, measure, measured) for lines in alike]
    return max(found, key=lambda one: bool(one.ours) + bool(one.dense), default=Rivals())


def _rivals_among(series: Sequence[Series], measure: str, measured: Measured) -> Rivals:
    """Find the rivals among lines that were run in one way.

    The dense line is the harder one to beat: in quality the best one, in memory the one that has
    the Reformer's own means (reversible layers, in pieces), else the ordinary one, which computes
    nothing twice. Of equal ones it is the one that shares queries and keys, as the Reformer does.
    Of Reformers it is the usual one, which has the fewest words.
    """
    reformers = sorted((s for s in series if s.kind == "reformer"), key=lambda s: len(s.name))
    ours = typical_line(reformers, measured, WITH_MEANS)
    dense = [s for s in series if s.kind == "dense"]
    means = means_of(ours) if ours and measure == "memory" else ORDINARY
    return Rivals(
        ours,
        best_line(dense) if measure == "quality" else typical_line(dense, measured, means),
        typical_line([s for s in series if s.kind == "local"], measured, WITH_MEANS),
    )


def best_line(series: Sequence[Series]) -> Series | None:
    """Find the line that is best at the last x that all judged ones share, sdpa before its twins.

    A level has its score at every x. A line of a single x does not stand for its kind beside longer
    ones; lines that share no x are each taken at their last one. Of equal lines it is the one of
    most x. It is None where no line was judged.
    """
    judged = [(line, found) for line in series if (found := signed_scores(line))]
    scores = [one for one in judged if len(one[1]) > 1 or not one[0].on_axis] or judged
    along = [set(found) for line, found in scores if line.on_axis]
    shared = set.intersection(*along) if along else set()

    def rank(one: tuple[Series, dict[float, float]]) -> tuple[bool, float, int]:
        line, found = one
        score = found[max(shared)] if line.on_axis and shared else [*found.values()][-1]
        is_twin = line.cases[0].settings.get("attention") != TYPICAL_DENSE
        return is_twin, score, -len(found)

    return min(scores, key=rank)[0] if scores else None


def signed_scores(line: Series) -> dict[float, float]:
    """Return by x what the cases of a line are judged by, lower being better."""
    return {
        x: (-1 if judged_of(case).higher_is_better else 1) * found.value
        for x, case in line.points
        if (found := score_of(case))
    }


def means_of(line: Series) -> str:
    """Say with what the layers of a line save memory (suites.labels.means_text)."""
    return means_text(line.cases[0].settings)


def precision_of(line: Series) -> str:
    """Return the precision in which the cases of a line were measured."""
    return str(line.cases[0].settings.get("precision", USUAL_PRECISION))


def way_text(line: Series, among: Sequence[Series]) -> str:
    """Say in which way a line was run, where others were run in another, or in an unusual one.

    It is "in bfloat16, launched by the host", and "" where that goes without saying.
    """
    precisions, graphs = (set(found) for found in zip(*map(way_of, [line, *among]), strict=True))
    in_graph = way_of(line)[1]
    words = [f"in {precision_of(line)}"] if precisions != {USUAL_PRECISION} else []
    words += ["in CUDA graphs" if in_graph else "launched by the host"] if any(graphs) else []
    return ", ".join(words)


def plain_name(line: Series) -> str:
    """Name a line without the way in which it was run, which `way_text` tells."""
    return line.name.replace(f", {precision_of(line)}", "").replace(IN_GRAPHS, "")


def way_of(line: Series) -> tuple[str, bool]:
    """Return in which precision the cases of a line were measured, and whether in CUDA graphs."""
    return precision_of(line), bool(line.cases[0].settings.get("cuda_graph"))


def typical_line(
    series: Sequence[Series], measured: Measured, means: str = ORDINARY
) -> Series | None:
    """Find the line that stands for its kind: 4 rounds or sdpa, else the most measured one.

    means: of what `means_of` says, what is preferred among these; then shared queries and keys, and
    the first of equal ones. It is None where no line measured this.
    """

    def rank(line: Series) -> tuple[bool, bool, bool, int]:
        settings = line.cases[0].settings
        usual = (
            settings.get("n_rounds") == TYPICAL_ROUNDS or settings.get("attention") == TYPICAL_DENSE
        )
        n_measured = sum(measured(case) is not None for case in line.cases)
        is_measured = n_measured > 0
        preferred = means_of(line) == means
        shares = settings.get("shared_qk") is not False
        return usual and is_measured, preferred and is_measured, shares and is_measured, n_measured

    best = max(series, key=rank, default=None)
    return best if best and rank(best)[-1] else None


def common_points(
    a: Series, b: Series, measured: Measured
) -> list[tuple[float, CaseResult, CaseResult]]:
    """Return (x, case of a, case of b) wherever both were measured, run in the same way.

    Where b is a level, its one case stands at every x of a.
    """
    if way_of(a) != way_of(b):
        return []
    at = {x: case for x, case in b.points if measured(case) is not None}
    level = next((case for case in b.cases if measured(case) is not None), None)
    both = [(x, one, at.get(x) if b.on_axis else level) for x, one in a.points]
    return [(x, one, two) for x, one, two in both if two is not None and measured(one) is not None]


def crossover_of(ours: Series, dense: Series, part: str = "step") -> Crossover | None:
    """Find the length from which on `ours` is faster than `dense` in a part.

    It is None below two common lengths, and not known where it may lie between two of them between
    which one of the lines failed.
    """
    common = common_points(ours, dense, lambda case: sum(map(sum, case.processes(part))) or None)
    if len(common) < 2:
        return None
    lengths = [int(x) for x, _, _ in common]
    a, b = (
        [one.processes(part) for _, one, _ in common],
        [two.processes(part) for _, _, two in common],
    )
    noise_a, noise_b = (
        [one.noise.get(part) for _, one, _ in common],
        [two.noise.get(part) for _, _, two in common],
    )
    found = crossover(lengths, a, b, noise_a, noise_b)
    reach = found.until or found.estimate
    low, high = (reach.low, reach.high) if reach.has_interval else (reach.value, reach.value)
    first = max((x for x in lengths if x <= low), default=lengths[0])
    last = min((x for x in lengths if x >= high), default=lengths[-1])
    across: dict[str, list[str]] = {}
    for x, case in sorted([*ours.points, *dense.points], key=lambda point: point[0]):
        status, _ = case.failure
        if first < x < last and status in FAILURES and not case.processes(part):
            across.setdefault(STATUS_TEXT[status], []).append(f"{x:,.0f}")
    told = [f"{words} at {' and '.join(dict.fromkeys(at))}" for words, at in across.items()]
    return replace(found, estimate=NOTHING, unknown=", ".join(told)) if told else found


def scaling_of(line: Series, measure: str) -> Scaling | None:
    """Fit how "time" or "memory" of a line grows with its x; None below two points."""
    measured = MEASURES[measure]
    # no power fits what takes no memory beyond its weights
    points = [(x, c) for x, c in line.points if measured(c)]
    if len(points) < 2:
        return None
    xs = [x for x, _ in points]
    if measure == "time":
        noise = [c.noise.get("step") for _, c in points]
        return scaling(xs, [c.processes() for _, c in points], noise)
    return scaling(xs, [[[measured(c) or 0.0]] for _, c in points])
