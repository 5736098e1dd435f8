"""This suite tests the authors' promise: a million tokens in one training step on one machine."""

from suites.base import Case, Suite, grid, make_case
from suites.presets import BRIEF, DEEP, HASTY, THOROUGH, dense, dense_with_means, local
from suites.settings import Settings, change

ROWS = 256  # of the axial positions
# Tokens of a piece of feed-forward and loss. On a GPU, for which the host issues some 60 operations
# a piece and layer, small ones keep the GPU waiting.
PIECE, PIECE_ON_GPUS = 2048, 32768
# The other published Reformer takes as long as this one: attention_length has both.
RIVALS = ["reformer-pytorch"]


def _cases(base: Settings, common: list[int], longer: list[int], piece: int = PIECE) -> list[Case]:
    """Make cases of the Reformer at all lengths, and of the others at the common lengths."""
    cases = []
    for length in common + longer:
        pieces = max(length // piece, 1)
        at = change(
            base,
            length=length,
            ff_chunks=pieces,
            loss_chunks=pieces,
            axial_positions=(ROWS, length // ROWS),
        )
        cases += grid(at, n_rounds=[2, 4] if length in common else [2])
        if length in common:
            cases += grid(at, attention=RIVALS)
            cases += [make_case(one) for one in (local(at), dense(at), dense_with_means(at))]
    return cases


SUITE = Suite(
    question="What does a training step take on the way to a million tokens?",
    varies="length",
    presets={
        "quick": _cases(change(DEEP, d_model=64, d_ff=256, n_layers=2, **HASTY), [1024], [4096]),
        "cpu": _cases(change(DEEP, time_budget_s=5.0), [8192], [65536, 262144, 1048576]),
        "gpu": _cases(
            change(DEEP, time_budget_s=2.0, precision="bfloat16", **BRIEF),
            [16384, 65536],
            [262144, 1048576],
            PIECE_ON_GPUS,
        ),
        "paper": _cases(
            change(DEEP, time_budget_s=30.0, **THOROUGH),
            [16384, 65536],
            [262144, 1048576],
            PIECE_ON_GPUS,
        ),
    },
)
