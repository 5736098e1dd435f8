"""The time of a case on a GPU that is not here is predicted from what it multiplies, moves, issues.

A prediction to plan by, and no measurement. The GPU works on one operation after another, each as
long as its products or its bytes take; the host issues them, and the slower of the two is the time.
No torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import NamedTuple

from reformer.checks import refuse_unknown
from suites.effects import OURS
from suites.engine.sweep import traffic
from suites.engine.sweep.prediction import (
    SLICE,
    of_each_kind,
    predict_step_s,
    vocabulary_of,
    weights_of,
)
from suites.settings import Settings, change


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A GPU: its name, its rates, and how long the host takes to issue one operation.

    tflops: of a large matrix product, in bfloat16, in float32, and in float32 on the tensor cores
    in three passes, as the Triton kernel computes; copy_gbs: of a large copy, read and written. In
    bfloat16 and of copies those of H100 and H200 were seen on machines that were lent (2026); the
    others are four fifths of what the maker prints. pair_s: what the Triton kernel takes for a
    query and a key of its window, once forward and twice backward, at either rate of its products,
    as seen on the H200 before the backward pass went through runs of chunks, which meets a pair
    once and is a little faster; the A100's follow from its multiprocessors and clock.
    """

    name: str
    tflops: Mapping[str, float]
    copy_gbs: float
    pair_s: Mapping[str, float]
    issue_s: float = 8e-6


PAIR_S = {"bfloat16": 3.3e-12, "three passes": 16e-12}
CARDS = {
    "h100": Card(
        name="NVIDIA H100",
        tflops={"bfloat16": 798, "float32": 53, "three passes": 132},
        copy_gbs=3000,
        pair_s=PAIR_S,
    ),
    "h200": Card(
        name="NVIDIA H200",
        tflops={"bfloat16": 790, "float32": 53, "three passes": 132},
        copy_gbs=4300,
        pair_s=PAIR_S,
    ),
    "a100": Card(
        name="NVIDIA A100",
        tflops={"bfloat16": 250, "float32": 15.6, "three passes": 42},
        copy_gbs=1600,
        pair_s={"bfloat16": 5.7e-12, "three passes": 28e-12},
    ),
}
# The share of both rates that kernels reach; and that fused full attention does, which skips what
# follows the diagonal but waits for its softmax.
REACHED, REACHED_FUSED = 0.7, 0.55
ROWS = 64  # of a tile of the Triton kernel
# Bytes for hash, sort and cells of one position and head in one round.
SORT_BYTES = 400
# Matrices of l x l that full attention which keeps them writes and reads in a pass.
MATRIX_PASSES = 5
# Operations that are issued in one pass of a layer without its attention; of other attention than
# ours; of an optimizer's step.
LAYER_ISSUES, ATTENTION_ISSUES, STEP_ISSUES = 40, 10, 60
# Of local attention, of a hash and its sort, and of a round: fitted to calls on an H200, of which
# the host bounds those on few tokens.
LOCAL_ISSUES, HASH_ISSUES, ROUND_ISSUES = 120, 25, 15
# How much longer a pair takes for each earlier round in which it may have met.
EARLIER = 1 / 8
# Units of N D numbers that one pass of a layer moves beside its products and its attention.
LAYER_UNITS = 24
FLOAT = 4  # bytes
# Numbers of a weight that an optimizer's step reads and writes.
UPDATE_NUMBERS = 8
KNOWN = (*OURS, "naive", "memory_efficient", "sdpa")
# Lengths at which a crossover is looked for: up to a million tokens.
LENGTHS = range(1024, 2**20 + 1, 1024)


class Predicted(NamedTuple):
    """Seconds that the GPU works, and that the host issues: the larger one is the time."""

    device_s: float
    host_s: float

    @property
    def seconds(self) -> float:
        """Return the predicted time."""
        return max(self)

    @property
    def bound(self) -> str:
        """Say what bounds it."""
        return "host" if self.host_s > self.device_s else "device"


class TimeModel(NamedTuple):
    """A model of time: the device's name, and what predicts one training step or attention call.

    That is None where nothing is known: on GPUs, for published Reformers and the user's attention.
    """

    name: str
    predict: Callable[[Settings], Predicted | None]


def time_model(name: str, gflops: float) -> TimeModel:
    """Return the model of a card of CARDS, or of this CPU, which is "cpu".

    gflops: the speed of a float32 matrix product on this machine. Raises ValueError on other names.
    """
    refuse_unknown(name, ("cpu", *CARDS), "device model")
    if name == "cpu":
        return TimeModel("this CPU", lambda s: Predicted(predict_step_s(s, gflops), 0.0))
    return TimeModel(f"one {CARDS[name].name}", partial(predict_on, CARDS[name]))


def predict_on(card: Card, s: Settings) -> Predicted | None:
    """Predict one training step, or one attention call and its backward pass, on this card."""
    if not set(s.kinds) <= set(KNOWN) or (s.in_chunks and s.kernel not in ("auto", "triton")):
        return None
    attention = [_attention(card, one) for one in (of_each_kind(s) if len(s.kinds) > 1 else [s])]
    device = sum(one.device_s for one in attention) / len(attention)
    host = sum(one.host_s for one in attention) / len(attention)
    if s.subject == "attention":
        return Predicted(device, 0.0 if s.cuda_graph else host)
    # what reversible layers compute again; the output layer is computed once
    passes, positions = 4 if s.reversible else 3, s.batch * s.length
    projections = 3 if s.in_chunks or s.shared_qk else 4
    in_layers = passes * s.n_layers * (projections * s.d_model + 2 * s.d_ff)
    flop = 2 * positions * s.d_model * (in_layers + 3 * vocabulary_of(s.task))
    # streams and norms are float32 in any precision, and so are weights and their optimizer
    moved = FLOAT * passes * s.n_layers * LAYER_UNITS * positions * s.d_model
    weights = FLOAT * UPDATE_NUMBERS * weights_of(s)[0]
    # the forward pass of attention is a third of its time, and computed again in reversible layers
    again = passes / 3
    pieces = s.ff_chunks + s.loss_chunks / s.n_layers
    issues = STEP_ISSUES + passes * s.n_layers * (LAYER_ISSUES + 6 * pieces)
    return Predicted(
        _device_s(card, _rate(s), flop, 0)
        + _device_s(card, _rate(s), 0, moved + weights)
        + again * s.n_layers * device,
        issues * card.issue_s + again * s.n_layers * host,
    )


def _attention(card: Card, s: Settings) -> Predicted:
    """Predict one call of the settings' attention, forward and backward."""
    if s.attention in OURS:
        return _lsh(card, s)
    pairs = s.batch * s.d_model * s.length * (s.length + 1) / 2
    moved = 12 * s.batch * s.length * s.d_model * _element(s)
    issues = ATTENTION_ISSUES * card.issue_s
    if s.attention == "sdpa":
        flop = 2 * 7 * pairs
        seconds = _device_s(card, _rate(s), flop * REACHED / REACHED_FUSED, moved)
        return Predicted(seconds, issues)
    # all l x l logits, or slices of them up to the diagonal, which are computed again
    in_slices = s.attention == "memory_efficient"
    passes, share, n = (4, 0.5, s.length / SLICE) if in_slices else (3, 1.0, 1)
    logits = share * s.batch * s.n_heads * s.length**2
    flop = passes * 2 * 2 * share * 2 * pairs
    seconds = _device_s(card, _rate(s), flop, moved + passes * MATRIX_PASSES * logits * _element(s))
    return Predicted(seconds, passes * n * issues)


def _lsh(card: Card, s: Settings) -> Predicted:
    """Predict one call of LSH or local attention by the Triton kernel."""
    config, rate = s.lsh(), "three passes" if _rate(s) == "float32" else "bfloat16"
    of_all = s.batch * s.n_heads * s.length
    window = (config.chunks_before + 1) * config.m
    hashed = s.attention == "lsh"
    device = 0.0
    for number in range(config.n_rounds):
        one = traffic.Round(
            width=s.d_model // s.n_heads,
            element=_element(s),
            n_rounds=config.n_rounds,
            number=number,
            chunk_length=config.m,
            chunks_before=config.chunks_before,
            rows=min(ROWS, config.m),
            needs_cells=hashed,
        )
        for flop, moved, visits in (
            (traffic.forward_flop(one), traffic.forward_bytes(one), 1),
            (traffic.backward_flop(one), traffic.backward_bytes(one), 2),
            (0, SORT_BYTES if hashed else 0, 0),
        ):
            bound = _device_s(card, rate, of_all * flop, of_all * moved)
            earlier = number * EARLIER * config.correct_duplicates
            device += max(bound, of_all * window * visits * card.pair_s[rate] * (1 + earlier))
    issues = LOCAL_ISSUES + HASH_ISSUES * hashed + ROUND_ISSUES * config.n_rounds
    return Predicted(device, issues * card.issue_s)


def _device_s(card: Card, rate: str, flop: float, moved: float) -> float:
    """Return the seconds of products and of the bytes moved, whichever takes longer."""
    return max(flop / (card.tflops[rate] * 1e12), moved / (card.copy_gbs * 1e9)) / REACHED


def _rate(s: Settings) -> str:
    """Name the rate of PyTorch's matrix products."""
    return "bfloat16" if s.precision == "bfloat16" else "float32"


def _element(s: Settings) -> int:
    """Return the bytes of a number of the activations."""
    return 2 if s.precision == "bfloat16" else 4


def predicted_crossover(model: TimeModel, ours: Settings, rival: Settings) -> float | None:
    """Return the length from which on one sequence of ours is predicted to be the faster one.

    It is one of LENGTHS; infinite if ours is slower at the longest; None where one is unknown.
    """
    found = inf
    for length in reversed(LENGTHS):
        both = (change(s, length=length, batch=1) for s in (ours, rival))
        mine, other = map(model.predict, both)
        if mine is None or other is None:
            return None
        if mine.seconds > other.seconds:
            break
        found = length
    return found
