"""This suite asks whether memory is flat in depth, and what depth buys."""

from suites.base import Case, Suite, grid
from suites.presets import CPU_HALF, PAPER, QUICK, dense, local, models_of_table_3
from suites.settings import Settings


def _cases(base: Settings, n_layers: list[int]) -> list[Case]:
    models = (base, local(base), dense(base), *models_of_table_3(base))
    return [case for model in models for case in grid(model, n_layers=n_layers)]


SUITE = Suite(
    question="How do time, peak memory and bits per dim grow with the number of layers?",
    varies="n_layers",
    presets={
        "quick": _cases(QUICK, [1, 2]),
        "cpu": _cases(CPU_HALF, [1, 2, 4]),
        "paper": _cases(PAPER, [3, 6, 12, 16, 20, 24]),
    },
)
