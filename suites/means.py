"""This suite asks which part of the Reformer saves memory: attention, reversible layers, pieces."""

from suites.base import Case, Suite, grid
from suites.presets import DEEP, HASTY, THOROUGH, dense, dense_with_means, local, ordinary
from suites.settings import Settings, change

PIECES = change(DEEP, ff_chunks=4, loss_chunks=4)


def _cases(base: Settings, n_layers: list[int]) -> list[Case]:
    models = (base, ordinary(base), local(base), dense_with_means(base), dense(base))
    return [case for model in models for case in grid(model, n_layers=n_layers)]


SUITE = Suite(
    question="Which part of the Reformer saves what?",
    varies="n_layers",
    log_x=False,
    presets={
        "quick": _cases(change(PIECES, length=512, d_model=64, d_ff=256, **HASTY), [1, 2]),
        "cpu": _cases(change(PIECES, length=4096), [2, 6]),
        "paper": _cases(change(PIECES, length=16384, time_budget_s=30.0, **THOROUGH), [2, 6, 12]),
    },
)
