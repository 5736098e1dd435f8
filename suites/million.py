"""This suite tests the authors' promise: a million tokens in one training step on one machine."""

from baselines.config import PEERS
from suites.base import Case, Suite, grid
from suites.presets import HASTY, THOROUGH, dense
from suites.settings import Settings, change

MODEL = Settings(
    measures=("time", "memory"),
    d_model=256,
    d_ff=1024,
    n_heads=4,
    n_layers=6,
    bucket_size=64,
    chunk_length=64,
    shared_qk=True,
    optimizer="adafactor",
    learning_rate=1e-2,
)
ROWS = 256  # of the axial positions
PIECE = 2048  # tokens of a piece of feed-forward and loss
RIVALS = [peer for peer in PEERS if not peer.endswith("-exact")]


def _cases(base: Settings, common: list[int], longer: list[int]) -> list[Case]:
    """Make cases of the Reformer at all lengths, and of the others at the common lengths."""
    cases = []
    for length in common + longer:
        pieces = max(length // PIECE, 1)
        at = change(
            base,
            length=length,
            ff_chunks=pieces,
            loss_chunks=pieces,
            axial_positions=(ROWS, length // ROWS),
        )
        cases += grid(at, n_rounds=[2, 4] if length in common else [2])
        if length in common:
            cases += [*grid(at, attention=RIVALS), *grid(dense(at), attention=["sdpa"])]
    return cases


SUITE = Suite(
    question="What does a training step take on the way to a million tokens?",
    varies="length",
    presets={
        "quick": _cases(change(MODEL, d_model=64, d_ff=256, n_layers=2, **HASTY), [1024], [4096]),
        "cpu": _cases(change(MODEL, time_budget_s=5.0), [16384], [65536, 262144, 1048576]),
        "paper": _cases(
            change(MODEL, time_budget_s=30.0, **THOROUGH), [16384, 65536], [262144, 1048576]
        ),
    },
)
