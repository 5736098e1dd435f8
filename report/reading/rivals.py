"""Lines of a suite are set against each other: which is typical, and where one overtakes."""

from report.reading.cases import CaseResult
from report.reading.measures import MEASURES, Measured
from report.reading.series import Series
from report.statistics.scaling import Crossover, Scaling, crossover, scaling

# What stands for the Reformer, and for its rivals.
TYPICAL_ROUNDS = 4
TYPICAL_DENSE = "sdpa"


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
    """Return (x, case of a, case of b) wherever both were measured.

    Where b is a level, its one case stands at every x of a.
    """
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
    noise_a, noise_b = (
        [one.noise.get(part) for _, one, _ in common],
        [two.noise.get(part) for _, _, two in common],
    )
    return crossover(lengths, a, b, noise_a, noise_b)


def scaling_of(line: Series, measure: str) -> Scaling | None:
    """Fit how "time" or "memory" of a line grows with its x; None below two points."""
    measured = MEASURES[measure]
    points = [(x, c) for x, c in line.points if measured(c) is not None]
    if len(points) < 2:
        return None
    xs = [x for x, _ in points]
    if measure == "time":
        noise = [c.noise.get("step") for _, c in points]
        return scaling(xs, [c.processes() for _, c in points], noise)
    return scaling(xs, [[[measured(c) or 0.0]] for _, c in points])
