"""This suite tests the authors' promise: a million tokens in one training step on one machine."""

from baselines.config import PEERS
from suites.base import Case, Suite, grid, make_case
from suites.presets import dense, dense_with_means, local
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


def in_pieces(base: Settings, length: int) -> Settings:
    """Return `base` at a length, feed-forward and loss in pieces of PIECE tokens."""
    pieces = max(length // PIECE, 1)
    return change(
        base,
        length=length,
        ff_chunks=pieces,
        loss_chunks=pieces,
        axial_positions=(ROWS, length // ROWS),
    )


def _cases(base: Settings, common: list[int], longer: list[int]) -> list[Case]:
    """Make cases of the Reformer at all lengths, and of the others at the common lengths.

    From 2^18 tokens on one process times the step, which takes minutes.
    """
    cases = []
    for length in common + longer:
        processes = 1 if length >= 2**18 else base.processes
        at = change(in_pieces(base, length), processes=processes)
        cases += grid(at, n_rounds=[2, 4] if length in common else [2])
        if length in common:
            cases += grid(at, attention=RIVALS)
            cases += [make_case(one) for one in (local(at), dense(at), dense_with_means(at))]
    return cases


SUITE = Suite(
    question="What does a training step take on the way to a million tokens?",
    varies="length",
    presets={
        "quick": _cases(
            change(MODEL, d_model=64, d_ff=256, n_layers=2, time_budget_s=0.2), [2048], [8192]
        ),
        "cpu": _cases(change(MODEL, time_budget_s=5.0), [16384], [65536, 262144, 1048576]),
        "paper": _cases(change(MODEL, time_budget_s=30.0), [16384, 65536], [262144, 1048576]),
    },
)
