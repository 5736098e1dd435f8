"""This suite asks whether memory is flat in depth, and what depth buys."""

from suites.base import Case, Suite, grid
from suites.presets import CPU, PAPER, QUICK, dense
from suites.settings import Settings


def _cases(base: Settings, n_layers: list[int]) -> list[Case]:
    return [*grid(base, n_layers=n_layers), *grid(dense(base), n_layers=n_layers)]


SUITE = Suite(
    question="How do time, peak memory and bits per dim grow with the number of layers?",
    varies="n_layers",
    presets={
        "quick": _cases(QUICK, [1, 2, 4]),
        "cpu": _cases(CPU, [1, 2, 4]),
        "paper": _cases(PAPER, [3, 6, 12, 16, 20, 24]),
    },
)
