"""Memory and time of a case are predicted from its settings alone (paper, tables 1 and 3).

Everything is counted in units of one float per position and model width: a unit is N D floats,
with N = batch * length. What the paper calls max(b l d_ff, b n_h l^2) n_l is here, with constants
read off the peak of live tensors of this code on the CPU:

    ordinary residuals:  n_l * (what a layer stores) + the largest workspace
    reversible:          the streams + the largest workspace, per layer only the hash order

No torch.
"""

from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

from baselines.config import PEERS
from reformer.checks import is_own
from suites.effects import OURS
from suites.engine.sweep.traffic import alive_bytes
from suites.evaluations import analyses_of, evaluations
from suites.settings import Settings

BYTES_PER_FLOAT = 4
BYTE_VOCABULARY = 256
VOCABULARY = {"duplication": 128, "recall": 8192}
# suites.tasks and baselines.attention have these with torch; tests hold them equal.
SLICE = 128
BLOCK_LOGITS = 2**19
WIDEST_IN_TRITON = 128
# Floats that the blocked kernel has alive for each logit of its block.
BLOCK_COPIES = 10
# Floats per logit in published Reformers; their copies of queries, keys and values are in it.
PEER_COPIES = {"reformer-pytorch": 7.7, "reformer-pytorch-exact": 10.2, "transformers": 8.2}
# The share of them that is alive in a call, which reformer-pytorch makes in pieces.
ALIVE_IN_A_CALL = {"reformer-pytorch": 0.82, "reformer-pytorch-exact": 0.67}

# Units stored by one ordinary layer: the attention (inputs, norm, projections, output), the
# feed-forward without its hidden activations, and the feed-forward in pieces (its input).
STORED_DENSE, STORED_LSH, STORED_FF, STORED_FF_CHUNKED = 6.1, 5.1, 2.0, 1.0
# Units of workspace of ordinary layers: output layer, feed-forward, attention.
HEAD, HIDDEN, FF, ATTENTION = 2.0, 3.0, 1.0, 8.0
# The same in reversible layers, streams and their gradients included.
REVERSIBLE_HEAD, REVERSIBLE_FF, REVERSIBLE_DENSE, REVERSIBLE_LSH = 5.0, 9.0, 14.6, 12.1
REVERSIBLE_NAIVE, REVERSIBLE_SLICED, REVERSIBLE_PEER = 10.0, 13.0, 13.9
# Units of one attention call alone: output, its gradient, gradients of the inputs (one less with
# LSH).
CALL, CALL_LSH = 5.3, 4.1
# The same in bfloat16, in units of half the bytes: the native kernel works on float32 copies.
CALL_LSH_IN_HALF = 16.1
# Copies of the largest weight that the optimizer's step has alive.
UPDATE_COPIES = 2.0

# Seconds: start of a process and building a model; an operation, whatever its size; the optimizer's
# update of a weight.
START_S, OPERATION_S, UPDATE_S = 0.35, 12e-6, 6e-9
OPERATIONS_PER_LAYER, OPERATIONS_PER_PIECE = 90, 35
# Shares of the speed of a matrix product that layers and attention reach; and what a logit of each
# attention costs, in units of its two products with heads as wide as LOGIT_WIDTH: half of it is the
# same at any width. Read off the presets quick and cpu on 2 cores; tests hold calls and steps of
# LSH, local and fused attention in the reference results to it, from 2,048 tokens on.
LAYER_EFFICIENCY, EFFICIENCY = 0.5, 0.27
LOGIT_WIDTH = 64
LOGIT_COST = {"naive": 1.5, "memory_efficient": 1.2, "sdpa": 0.38, "lsh": 0.75, "local": 0.75}
LOGIT_COST |= dict.fromkeys(PEERS, 6.0)
SEVERAL_ROUNDS = 0.65  # of LSH attention that counts a pair once, in the first round it meets in
UNKNOWN_LOGIT_COST = 1.5  # of the user's own attention
# Steps that a process takes for its first call, warm-up and samples where its budget allows, and
# at least: a first call, one of the time that is never sampled, five samples. timing.py has both
# times with torch; tests hold them equal.
TIMED_STEPS, LEAST_TIMED_STEPS = 22, 7
UNSAMPLED_S, ONE_SAMPLE_S = 0.2, 60.0
MEMORY_STEPS = 5
# From so many tokens on the memory pass of a model is one whole step, and a short one before it.
LONG, LONG_MEMORY_STEPS = 2**16, 1.2
EVALUATION_SHARE = 0.35  # of a training step
# Windows that analyses evaluate, or what takes as long; suites.engine.measure has them with torch.
ANALYSED_WINDOWS = {"past only": 256, "attention mass": 100, "head": 4}
SHORT_WINDOWS_SHARE = 0.6  # of a step with as many tokens in long windows


class Memory(NamedTuple):
    """The predicted bytes of one training step are split as in a record."""

    weights: int
    gradients: int
    optimizer: int
    rest: int

    @property
    def peak(self) -> int:
        """Add up weights, gradients, optimizer state and rest, in bytes."""
        return sum(self)


def vocabulary_of(task: str) -> int:
    """Return the number of symbols of a task."""
    return VOCABULARY.get(task, BYTE_VOCABULARY)


def predicted_peak(settings: Settings, device: str = "cpu") -> int | None:
    """Predict the peak of live tensors in bytes; None for an attention that is not known here.

    device: "cuda" makes a difference to calls of LSH and local attention, which is another kernel.
    """
    return None if is_own(settings.attention) else predict_memory(settings, device).peak


def predict_memory(settings: Settings, device: str = "cpu") -> Memory:
    """Predict the peak of live tensors in a training step, or in an attention call and backward.

    It is split into weights, gradients, optimizer state and the rest, all in bytes.
    """
    if len(settings.kinds) > 1:  # the dearest kind of layer, as if all were of it
        every = [predict_memory(one, device) for one in of_each_kind(settings)]
        return max(every, key=lambda memory: memory.peak)
    s = settings
    unit = s.batch * s.length * s.d_model * BYTES_PER_FLOAT
    if s.subject == "attention":
        n_inputs, call = (2, CALL_LSH) if s.in_chunks else (3, CALL)
        if s.precision == "bfloat16":
            unit, call = unit // 2, CALL_LSH_IN_HALF if s.attention in OURS else call
        live_logits = ALIVE_IN_A_CALL.get(s.attention, 1.0) * live_logits_in_units(s)
        rest = unit * (call + live_logits) + block_bytes(s)
        fits = s.kernel in ("auto", "triton") and s.d_model // s.n_heads <= WIDEST_IN_TRITON
        if device == "cuda" and s.attention in OURS and fits:
            rest = alive_bytes(s)
        return Memory(n_inputs * unit, n_inputs * unit, 0, int(rest))
    n_weights, largest = weights_of(s)
    weights = n_weights * BYTES_PER_FLOAT
    # Adafactor keeps a row and a column of each matrix
    optimizer = 2 * weights if s.optimizer == "adamw" else weights // 50
    rest = unit * rest_in_units(s) + block_bytes(s)
    return Memory(
        weights, weights, optimizer, int(max(rest, UPDATE_COPIES * largest * BYTES_PER_FLOAT))
    )


def of_each_kind(s: Settings) -> list[Settings]:
    """Return the settings with each attention of the pattern over layers in all of them."""
    return [replace(s, attention=kind, shared_qk=True) for kind in s.kinds]


def weights_of(s: Settings) -> tuple[int, int]:
    """Count the weights, and those in the largest matrix."""
    v = vocabulary_of(s.task)
    if s.axial_positions is None:
        positions = s.length * s.d_model
    else:
        rows, columns = s.axial_positions
        positions = rows * (s.d_model // 4) + columns * (s.d_model - s.d_model // 4)
    shared = s.in_chunks or s.shared_qk
    attention = (3 if shared else 4) * s.d_model**2 + 2 * s.d_model
    feed_forward = 2 * s.d_model * s.d_ff + s.d_ff + 3 * s.d_model
    ends = (1 if s.tie_embeddings else 2) * v * s.d_model + v + 2 * s.d_model + positions
    total = ends + s.n_layers * (attention + feed_forward)
    return total, max(s.d_model * s.d_ff, v * s.d_model, positions)


def rest_in_units(s: Settings) -> float:
    """Return the peak beyond weights, gradients and optimizer state, in units of N D floats."""
    hidden, logits = s.d_ff / s.d_model, live_outputs_in_units(s)
    orders = s.lsh().n_rounds * s.n_heads / s.d_model if s.in_chunks else 0.0
    if s.reversible:
        attention = {
            **dict.fromkeys(OURS, REVERSIBLE_LSH),
            **dict.fromkeys(PEERS, REVERSIBLE_PEER),
            "naive": REVERSIBLE_NAIVE,
            "memory_efficient": REVERSIBLE_SLICED,
        }.get(s.attention, REVERSIBLE_DENSE)
        branches = (
            REVERSIBLE_HEAD + HIDDEN * logits,
            REVERSIBLE_FF + HIDDEN * hidden / s.ff_chunks,
            attention + live_logits_in_units(s),
        )
        return s.n_layers * orders + max(branches)
    stored_ff = STORED_FF + hidden if s.ff_chunks == 1 else STORED_FF_CHUNKED
    matrix = logits_in_units(s) if s.attention == "naive" else 0.0
    stored = (STORED_LSH + orders if s.attention in OURS else STORED_DENSE) + matrix + stored_ff
    ff_work = FF + 2 * hidden if s.ff_chunks == 1 else FF + 2 + HIDDEN * hidden / s.ff_chunks
    attention_work = (
        max(ATTENTION, 2.5 + live_logits_in_units(s)) if s.attention != "naive" else 2 * matrix
    )
    head = HEAD + HIDDEN * logits
    return s.n_layers * stored + max(head, ff_work, attention_work - stored_ff)


def counted_share(s: Settings) -> float:
    """Return the share of positions of which our output layer computes logits, on the CPU.

    There it leaves out what the task does not count (reformer/loss.py).
    """
    if s.task == "recall" and s.attention not in PEERS:
        return s.n_pairs / s.length
    return 0.5 if s.task == "duplication" and s.attention not in PEERS else 1.0


def live_outputs_in_units(s: Settings) -> float:
    """Return the size of the logits of the output layer that are alive at a time, in units.

    What counts may all be in one piece.
    """
    share = min(counted_share(s), 1 / s.loss_chunks)
    return share * vocabulary_of(s.task) / s.d_model


def logits_in_units(s: Settings) -> float:
    """Return the size of all logits of one attention layer, in units of N D floats."""
    n_keys = s.lsh().n_rounds * keys_per_round(s) if s.in_chunks else s.length
    return n_keys * s.n_heads / s.d_model


def live_logits_in_units(s: Settings) -> float:
    """Return what logits take at the peak of one attention layer's backward pass, in units.

    Copies of logits and the attention weights made of them are counted too; a unit is N D floats.
    """
    if s.attention == "naive":
        return 3.05 * logits_in_units(s)
    if s.attention == "memory_efficient":
        return 3.0 * SLICE * s.n_heads / s.d_model
    if s.attention in PEERS:
        return PEER_COPIES[s.attention] * logits_in_units(s)
    return 5.0 * logits_in_units(s) if s.attention in OURS and s.kernel == "plain" else 0.0


def block_bytes(s: Settings) -> int:
    """Return the bytes that the blocked kernel holds for the logits of its blocks.

    Of other kernels it is 0: what the native one holds is no tensor.
    """
    if s.attention not in OURS or s.kernel not in ("blocked", "compiled"):
        return 0
    of_a_round = s.batch * s.n_heads * s.length * keys_per_round(s)
    return BLOCK_COPIES * min(BLOCK_LOGITS, of_a_round) * BYTES_PER_FLOAT


def keys_per_round(s: Settings) -> int:
    """Return the number of keys that a position sees in one round."""
    config = s.lsh()
    return min(s.length, config.m * (1 + config.chunks_before))


def logit_cost(s: Settings) -> float:
    """Return what a logit of this attention costs, in units of its two products."""
    if s.attention == "lsh" and s.n_rounds > 1 and s.correct_duplicates:
        return SEVERAL_ROUNDS
    return LOGIT_COST.get(s.attention, UNKNOWN_LOGIT_COST)


def predict_step_s(s: Settings, gflops: float) -> float:
    """Predict the seconds of one training step, or of one attention call and its backward pass.

    gflops: the speed of a float32 matrix product on the machine.
    """
    if len(s.kinds) > 1:
        return fmean(predict_step_s(one, gflops) for one in of_each_kind(s))
    positions = s.batch * s.length
    seen = 1.0 if s.attention == "naive" else 0.5
    logits = seen * logits_in_units(s) * s.d_model * positions
    attention = logits * 2 * (s.d_model / s.n_heads + LOGIT_WIDTH) * logit_cost(s)
    passes = 4.0 if s.reversible or s.attention == "memory_efficient" else 3.0
    if s.subject == "attention":
        return passes * attention / (EFFICIENCY * gflops * 1e9) + 100 * OPERATION_S
    v = counted_share(s) * vocabulary_of(s.task)
    projections = 3 if s.in_chunks or s.shared_qk else 4
    widths = projections * s.d_model + 2 * s.d_ff
    products = 2 * positions * s.d_model * (s.n_layers * widths + v)
    work = passes * (products / LAYER_EFFICIENCY + s.n_layers * attention / EFFICIENCY)
    pieces = s.ff_chunks if s.ff_chunks > 1 else 0
    n_operations = passes * s.n_layers * (OPERATIONS_PER_LAYER + OPERATIONS_PER_PIECE * pieces)
    if s.attention == "memory_efficient":
        n_operations += 30 * passes * s.n_layers * s.length / SLICE
    update = weights_of(s)[0] * UPDATE_S
    return work / (gflops * 1e9) + n_operations * OPERATION_S + update


def predict_job_s(s: Settings, kind: str, gflops: float) -> float:
    """Predict the seconds of the process of one job of this kind."""
    step = predict_step_s(s, gflops)
    if kind == "time":
        if step > ONE_SAMPLE_S:
            return START_S + step
        wanted = min(s.time_budget_s + step, UNSAMPLED_S + TIMED_STEPS * step)
        return START_S + max(LEAST_TIMED_STEPS * step, wanted)
    if kind == "memory":
        is_long = s.can_train and s.length >= LONG
        return START_S + (LONG_MEMORY_STEPS if is_long else MEMORY_STEPS) * step
    short = SHORT_WINDOWS_SHARE * s.first_batch * s.first_length / (s.batch * s.length)
    steps = s.train_steps - s.first_steps + s.first_steps * short
    points = 1 + len(evaluations(s))
    points += s.train_steps // s.evaluate_every if s.evaluate_every else 0
    evaluated = points * s.heldout_tokens / (s.batch * s.length)
    evaluated += sum(ANALYSED_WINDOWS[name] for name in analyses_of(s)) / s.batch
    return START_S + step * (steps + EVALUATION_SHARE * evaluated)
