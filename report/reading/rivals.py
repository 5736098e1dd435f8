"""Lines of a suite are set against each other: which is typical, and where one overtakes."""

from collections.abc import Sequence

from report.reading.cases import CaseResult
from report.reading.measures import MEASURES, Measured
from report.reading.series import USUAL_PRECISION, Series
from report.statistics.estimates import Estimate
from report.statistics.scaling import Crossover, crossover, scaling_exponent

# What stands for the Reformer, and for its rivals.
TYPICAL_ROUNDS = 4
TYPICAL_DENSE = "sdpa"


def precision_of(line: Series) -> str:
    """Return the precision in which the cases of a line were measured."""
    return str(line.cases[0].settings.get("precision", USUAL_PRECISION))


def typical_pair(
    series: Sequence[Series], measured: Measured
) -> tuple[Series | None, Series | None]:
    """Find the lines that stand for the Reformer and for dense attention, in one precision.

    That is float32 where both were measured in it. Where no precision has both, one is None.
    """
    precisions = sorted({precision_of(line) for line in series}, key=USUAL_PRECISION.__ne__)
    pairs = []
    for precision in precisions:
        alike = [line for line in series if precision_of(line) == precision]
        ours, dense = (
            typical_line([line for line in alike if line.kind == kind], measured)
            for kind in ("reformer", "dense")
        )
        pairs.append((ours, dense))
    return max(pairs, key=lambda pair: len(pair) - pair.count(None), default=(None, None))


def typical_line(series: list[Series], measured: Measured) -> Series | None:
    """Find the line that stands for its kind: 4 rounds or sdpa, else the most measured one.

    It is None where no line measured this.
    """

    def rank(line: Series) -> tuple[bool, int]:
        settings = line.cases[0].settings
        usual = (
            settings.get("n_rounds") == TYPICAL_ROUNDS or settings.get("attention") == TYPICAL_DENSE
        )
        n_measured = sum(measured(case) is not None for case in line.cases)
        return (usual and n_measured > 0, n_measured)

    best = max(series, key=rank, default=None)
    return best if best and rank(best)[1] else None


def common_points(
    a: Series, b: Series, measured: Measured
) -> list[tuple[float, CaseResult, CaseResult]]:
    """Return (x, case of a, case of b) wherever both were measured, in the same precision.

    Where b is a level, its one case stands at every x of a.
    """
    if precision_of(a) != precision_of(b):
        return []
    at = {x: case for x, case in b.points if measured(case) is not None}
    level = next((case for case in b.cases if measured(case) is not None), None)
    both = [(x, one, at.get(x) if b.on_axis else level) for x, one in a.points]
    return [(x, one, two) for x, one, two in both if two is not None and measured(one) is not None]


def crossover_of(ours: Series, dense: Series, part: str = "step") -> Crossover | None:
    """Find the length from which on `ours` is faster than `dense` in a part.

    It is None below two common lengths.
    """
    common = common_points(ours, dense, lambda case: sum(map(sum, case.processes(part))) or None)
    if len(common) < 2:
        return None
    lengths = [int(x) for x, _, _ in common]
    a, b = (
        [one.processes(part) for _, one, _ in common],
        [two.processes(part) for _, _, two in common],
    )
    return crossover(lengths, a, b, common[0][1].noise)


def exponent_of(line: Series, measure: str) -> Estimate | None:
    """Fit how "time" or "memory" of a line grows with its x; None below two points."""
    measured = MEASURES[measure]
    points = [(x, c) for x, c in line.points if measured(c) is not None]
    if len(points) < 2:
        return None
    xs = [x for x, _ in points]
    if measure == "time":
        return scaling_exponent(xs, [c.processes() for _, c in points], points[0][1].noise)
    return scaling_exponent(xs, [[[measured(c) or 0.0]] for _, c in points])
