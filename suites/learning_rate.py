"""This suite finds the learning rate that suits each family, which `presets.RATES` then names."""

from suites.base import Case, Suite, grid
from suites.presets import CPU_HALF, QUICK, dense, local, separate
from suites.settings import Settings, change


def _cases(base: Settings, rates: list[float], lowest: list[float]) -> list[Case]:
    """Make the trainings of all families at all rates.

    lowest: further rates for separate projections of queries and keys, which learn slowly.
    """
    trained = change(base, measures=("quality",))
    return [
        *grid(trained, learning_rate=rates),
        *grid(local(trained), learning_rate=rates),
        *grid(dense(trained), learning_rate=rates),
        *grid(separate(trained), learning_rate=[*lowest, *rates]),
    ]


SUITE = Suite(
    question="Which learning rate suits each family?",
    varies="learning_rate",
    presets={
        "quick": _cases(QUICK, rates=[3e-3, 6e-3], lowest=[]),
        "cpu": _cases(CPU_HALF, rates=[3e-3, 6e-3, 1e-2], lowest=[1e-3]),
    },
)
