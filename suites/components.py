"""This suite asks which part of the Reformer earns what: LSH, reversible layers, pieces, all 2^3.

Pieces (chunked feed-forward and loss) compute the same function, so one of each two is trained.
Local attention stands beside.
"""

from suites.base import Case, Suite, grid, make_case
from suites.presets import CPU_HALF, PAPER, QUICK, costs_only, dense_with_means, in_one_piece, local
from suites.settings import Settings, change


def _models(base: Settings, trained: bool = True) -> list[Case]:
    """Make the eight models of a size, without any part first, with all of them last; and local."""
    cases = []
    for model in (dense_with_means(base), base):
        for reversible in (False, True):
            pieces = change(model, reversible=reversible)
            whole = in_one_piece(pieces)
            one, other = (costs_only(whole), pieces) if reversible else (whole, costs_only(pieces))
            cases += [make_case(s if trained else costs_only(s)) for s in (one, other)]
    beside = local(base)
    return [*cases, make_case(beside if trained else costs_only(beside))]


# The paper's 12-layer model on a text that is here; a step of it takes minutes.
TWELVE_LAYERS = change(PAPER, n_layers=12, task="enwiki-head")

SUITE = Suite(
    question="Which part of the Reformer earns what: LSH, reversible layers, pieces?",
    varies="attention",
    categories=("attention", "reversible", "ff_chunks", "loss_chunks"),
    presets={
        "quick": _models(QUICK),
        "cpu": [
            *_models(CPU_HALF),
            *_models(change(CPU_HALF, length=4096), trained=False),
            *_models(change(CPU_HALF, length=4096, n_layers=6), trained=False),
            *grid(TWELVE_LAYERS, measures=[("memory",)]),
        ],
        "paper": [
            *_models(change(PAPER, length=16384, axial_positions=(128, 128))),
            *_models(change(PAPER, n_layers=12), trained=False),
        ],
    },
)
