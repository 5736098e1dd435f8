"""The launches of the Triton kernel: forward and backward over all rounds.

Bytes that a round moves a position and head of width W, E bytes an element, one chunk before: the
forward pass reads its query, two keys and two values (5 E W) and reads and writes the total (8 W);
the backward pass reads 3 + 4 + 4 rows (in long runs of chunks 2 + 4 + 1), and reads and writes two
totals (11 or 7 E W + 16 W): suites/engine/sweep/traffic.py.
Outputs of all rounds, merged by another launch, would take about the same bytes, and memory for all
of them at once.

Shapes: B batch, H heads, L length, W head width, R rounds, N buckets.
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from reformer.config import LSHConfig
from reformer.eager import require_in_memory
from reformer.kernels.by_hand import in_rows
from reformer.kernels.triton.backward import backward_round, write_deltas
from reformer.kernels.triton.backward_run import backward_run
from reformer.kernels.triton.forward import forward_round
from reformer.kernels.triton.hashing import write_cells
from reformer.kernels.triton.launch import Launches, cdiv, launch, on_device_of, padded
from reformer.kernels.triton.tune import Tiles, programs_at_once, tiles_of
from reformer.precision import MIN_NORM
from reformer.sorting import SortedRounds

ROWS = 128  # of a program that only walks over rows
TRIED = 8  # launches of a trial of tiles
MOST_CELLS = 2**31  # that 32 bits tell apart
# Numbers of a tile of the backward pass in runs, by bytes of an element; half of it on GPUs whose
# products take what they multiply from registers: all but those of these major versions.
MOST_IN_RUNS = {2: 64 * 64, 4: 32 * 64}
FROM_SHARED_MEMORY = (9, 10)
LONGEST_RUN = 32  # chunks; longer runs would meet at most 1.6 % fewer tiles


def forward(
    qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute output, log-normalisers and cells; the output's memory has positions before heads."""
    with on_device_of(qk):
        qk, v = in_rows(qk), in_rows(v)
        cells_BHLR = cells_of(rounds, config)
        out_BLHW = _own_rows(v, v.dtype)
        z_BHL = torch.empty(v.shape[:3], dtype=torch.float32, device=v.device)
        needs_total = v.dtype != torch.float32 and config.n_rounds > 1
        total_BLHW = _own_rows(v, torch.float32) if needs_total else out_BLHW
        order_BHRL = rounds.order_BHRL.contiguous()
        tensors = (qk, v, out_BLHW, total_BLHW, z_BHL, order_BHRL, cells_BHLR)
        strides = (*qk.stride()[:3], *v.stride()[:3])
        _each_round(forward_round, tensors, strides, rounds, config)
    return out_BLHW.transpose(1, 2), z_BHL, cells_BHLR


def backward(
    grad_out: Tensor, kept: tuple[Tensor, ...], rounds: SortedRounds, config: LSHConfig
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of qk and v from what `forward` returned, or without its cells."""
    qk, v, out, z_BHL, *cells = kept
    with on_device_of(qk):
        require_in_memory("triton", grad_out)
        qk, v, dout = in_rows(qk), in_rows(v), in_rows(grad_out)
        out_BLHW = out.transpose(1, 2).contiguous()
        z_and_delta_BHL2 = _deltas(dout, out_BLHW, z_BHL)
        dq_BLHW, dv_BLHW = _own_rows(qk, qk.dtype), _own_rows(v, v.dtype)
        totals = [dq_BLHW, dv_BLHW]
        if qk.dtype != torch.float32 and config.n_rounds > 1:
            totals = [_own_rows(x, torch.float32) for x in (qk, v)]
        strides = (*qk.stride()[:3], *v.stride()[:3], *dout.stride()[:3])
        sorted_ = rounds.order_BHRL.contiguous(), *(cells or [cells_of(rounds, config)])
        tensors = (qk, v, dout, dq_BLHW, dv_BLHW, *totals, z_and_delta_BHL2, *sorted_)
        kernel = backward_run if in_runs(qk, rounds, _major(qk.device)) else backward_round
        _each_round(kernel, tensors, strides, rounds, config)
    return dq_BLHW.transpose(1, 2), dv_BLHW.transpose(1, 2)


def _each_round(
    kernel: Any,
    tensors: tuple[Tensor, ...],
    strides: tuple[int, ...],
    rounds: SortedRounds,
    config: LSHConfig,
) -> None:
    """Launch `kernel` for one round after the other; the first of the tensors is qk."""
    qk, name = tensors[0], kernel.__name__
    B, H, L, W = qk.shape
    precision = precision_of(qk)

    def prepare(tiles: Tiles, n_rounds: Sequence[int]) -> Launches:
        programs = rounds.n_chunks * cdiv(rounds.chunk_length, tiles.rows)
        chunks: list[int] = []
        if kernel is backward_run:
            chunks = [chunks_of_run(B * H, rounds.n_chunks, programs_at_once(qk, tiles))]
            programs = cdiv(rounds.n_chunks, chunks[0])
        return Launches(
            kernel,
            B * H * programs,
            (*strides, H, L, rounds.n_chunks, *chunks, config.logit_scale),
            [constants_of(qk, rounds, config, r, tiles) for r in n_rounds],
            tiles.options(),
        )

    def prepare_all() -> Launches:
        # a trial's results are written over by round 0, which reads none
        tried = [config.n_rounds - 1] * TRIED
        tiles = tiles_of(
            *((name, precision), qk, rounds),
            lambda tiles: partial(prepare(tiles, tried).run, tensors, rounds.valid_length),
        )
        return prepare(tiles, range(config.n_rounds))

    cut = rounds.chunk_length, rounds.chunks_before, rounds.valid_length < L
    key = (name, strides, (B, H, L, W), precision, config, cut)
    launch(key, prepare_all, tensors, rounds.valid_length)


def in_runs(like: Tensor, rounds: SortedRounds, major: int) -> bool:
    """Is a chunk a tile that registers hold, and looks back at one other?

    major: that of the GPU's compute capability, as 9 of 9.0.
    """
    rows = padded(rounds.chunk_length)
    numbers = rows * max(rows, padded(like.shape[-1]))
    most = MOST_IN_RUNS[like.dtype.itemsize] // (1 if major in FROM_SHARED_MEMORY else 2)
    return rounds.chunks_before == 1 and numbers <= most


@cache
def _major(device: torch.device) -> int:
    return torch.cuda.get_device_capability(device)[0] if device.type == "cuda" else 9


def chunks_of_run(n_sequences: int, n_chunks: int, at_once: int) -> int:
    """Choose how many chunks a program goes through: those after which all are done first.

    It meets two tiles a chunk, and one before; `at_once` programs run at a time.
    """

    def steps(chunks: int) -> int:
        return cdiv(n_sequences * cdiv(n_chunks, chunks), at_once) * (2 * chunks + 1)

    return min(range(1, min(n_chunks, LONGEST_RUN) + 1), key=steps)


def constants_of(
    qk: Tensor, rounds: SortedRounds, config: LSHConfig, r: int, tiles: Tiles
) -> dict[str, Any]:
    """Collect what round r of either pass is compiled for, in the order of both signatures."""
    return {
        "ROUND": r,
        "ROUNDS": config.n_rounds,
        "WIDTH": qk.shape[-1],
        "CHUNK_LENGTH": rounds.chunk_length,
        "CHUNKS_BEFORE": rounds.chunks_before,
        "CAUSAL": config.causal,
        "PADDED": rounds.valid_length < qk.shape[-2],
        "WITHIN_BUCKET": config.within_bucket,
        "CORRECT": config.corrects,
        "SHORTEST": MIN_NORM,
        "PRECISION": precision_of(qk),
        "BLOCK_M": tiles.rows,
        "BLOCK_N": tiles.met,
        "BLOCK_W": padded(qk.shape[-1]),
    }


def precision_of(like: Tensor) -> str:
    """Name the precision of products: what PyTorch's setting says of float32, else the inputs'.

    Three products of TensorFloat32 stand for one of float32.
    """
    if like.dtype != torch.float32:
        return "ieee"
    setting = getattr(torch.backends.cuda.matmul, "fp32_precision", None)  # newer than the other
    if setting is None:
        setting = "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"
    return "tf32" if setting == "tf32" else "tf32x3"


def cells_of(rounds: SortedRounds, config: LSHConfig) -> Tensor:
    """Compute the cells of each position (sorting.py), (B, H, L, R).

    Where no mask asks for them it is anything.
    """
    order, ends = rounds.order_BHRL.contiguous(), rounds.ends_BHRN.contiguous()
    if not config.within_bucket and not config.corrects:
        return order
    (B, H, R, L), N = order.shape, ends.shape[-1]
    fits = 2 * N * rounds.n_chunks <= MOST_CELLS
    cells = order.new_empty((B, H, L, R), dtype=torch.int32 if fits else torch.int64)
    constants = {
        "CHUNK_LENGTH": rounds.chunk_length,
        "ROUNDS": R,
        "WITHIN_BUCKET": rounds.within_bucket,
        "BLOCK_X": ROWS,
    }
    numbers, programs = (L, N, rounds.n_chunks, N.bit_length()), B * H * R * cdiv(L, ROWS)
    launch(
        ("cells", programs, numbers, *constants.values()),
        lambda: Launches(write_cells, programs, numbers, [constants]),
        (order, ends, cells),
    )
    return cells


def _deltas(dout: Tensor, out_BLHW: Tensor, z_BHL: Tensor) -> Tensor:
    """Compute delta = dout . out, and put it beside z, (B, H, L, 2) in float32."""
    B, H, L, W = dout.shape
    found = z_BHL.new_empty((B, H, L, 2))
    numbers, programs = (*dout.stride()[:3], H, L), B * H * cdiv(L, ROWS)
    constants = {"WIDTH": W, "BLOCK_M": ROWS, "BLOCK_W": padded(W)}
    launch(
        ("deltas", programs, numbers, W),
        lambda: Launches(write_deltas, programs, numbers, [constants]),
        (dout, out_BLHW, z_BHL, found),
    )
    return found


def _own_rows(like: Tensor, dtype: torch.dtype) -> Tensor:
    """Make an empty (B, L, H, W): what a model makes one row a position of without a copy."""
    B, H, L, W = like.shape
    return torch.empty((B, L, H, W), dtype=dtype, device=like.device)
