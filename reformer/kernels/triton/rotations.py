"""Rotations are drawn on the GPU, from a seed that the CPU's generator draws.

Drawn on the CPU and copied, they took a fifth of the time in which the host launches a call.

Shapes: R rounds, N buckets of one rotation, W head width; C columns of a block, of which no more
than W can be orthonormal.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from reformer.checks import require
from reformer.hashing import blocks_of
from reformer.kernels.triton.launch import Launches, is_captured, launch, on_device_of, power_of_2

SEEDS = 2**31 - 1  # what a launch passes on as 32 bits


def draw_rotations(
    like: Tensor,
    factors: Sequence[int],
    n_rounds: int,
    generator: torch.Generator | None,
    orthonormal: bool,
) -> list[Tensor]:
    """Draw one matrix (W, R, N/2) for each of one or two factors, on the device of `like`.

    In memory a column is a row, (R, N/2, W), of the dtype of `like`, as the hash reads them.
    """
    width, halves = like.shape[-1], [n // 2 for n in factors]
    drawn = [like.new_empty((n_rounds, half, width)) for half in halves]
    n_blocks, per_block = blocks_of(halves, width)
    constants = {
        "WIDTH": width,
        "HALF": halves[0],
        "BOTH": sum(halves),
        "BLOCKS": n_blocks,
        "PER_BLOCK": per_block,
        "ORTHONORMAL": orthonormal,
        "BLOCK_W": power_of_2(width),
        "BLOCK_C": power_of_2(per_block),
    }
    with on_device_of(like):
        seeds, seed = _seed(like, generator)
        constants["SEED_ON_GPU"] = bool(seeds)
        launch(
            ("rotations", n_rounds, *constants.values()),
            lambda: Launches(write_rotations, n_rounds * n_blocks, (), [constants]),
            (drawn[0], drawn[-1], *seeds),
            *seed,
        )
    return [rows_RNW.permute(2, 0, 1) for rows_RNW in drawn]


def _seed(
    like: Tensor, generator: torch.Generator | None
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Draw a seed: a number, or within a CUDA graph a tensor, which every replay draws anew.

    Raises ValueError where a graph would draw from a CPU's generator, once for all replays.
    """
    if is_captured(like):
        require(
            generator is None,
            "a CUDA graph would repeat what a CPU's generator draws at each replay; capture "
            "lsh_attention without generator, which draws on the GPU (a Reformer gives one)",
        )
        return (torch.randint(SEEDS, (1,), dtype=torch.int32, device=like.device),), ()
    return (), (int(torch.randint(SEEDS, (1,), generator=generator, device="cpu")),)


@triton.jit(do_not_specialize=["seed"])
def write_rotations(
    first,
    second,
    seed,
    WIDTH: tl.constexpr,
    HALF: tl.constexpr,
    BOTH: tl.constexpr,
    BLOCKS: tl.constexpr,
    PER_BLOCK: tl.constexpr,
    ORTHONORMAL: tl.constexpr,
    BLOCK_W: tl.constexpr,
    BLOCK_C: tl.constexpr,
    SEED_ON_GPU: tl.constexpr,
):
    """Write a block of columns of one round: of `first` the HALF columns, then those of `second`.

    first: (R, HALF, W), second: (R, BOTH - HALF, W); seed: a number, or where it is.
    """
    if SEED_ON_GPU:
        seed = tl.load(seed)
    block, r = tl.program_id(0) % BLOCKS, tl.program_id(0) // BLOCKS
    w, c = tl.arange(0, BLOCK_W), tl.arange(0, BLOCK_C)
    real_CW = (c < PER_BLOCK)[:, None] & (w < WIDTH)[None, :]
    number_CW = (tl.program_id(0) * PER_BLOCK + c[:, None]) * WIDTH + w[None, :]
    columns_CW = tl.where(real_CW, tl.randn(seed, number_CW), 0.0)
    if ORTHONORMAL:  # by Gram and Schmidt, each column taken out of all later ones at once
        for done in range(PER_BLOCK):
            unit_W = tl.sum(tl.where(c[:, None] == done, columns_CW, 0.0), axis=0)
            unit_W /= tl.sqrt(tl.sum(unit_W * unit_W, axis=0))
            along_C = tl.sum(columns_CW * unit_W[None, :], axis=1)
            rest_CW = columns_CW - along_C[:, None] * unit_W[None, :]
            columns_CW = tl.where(c[:, None] > done, rest_CW, columns_CW)
            columns_CW = tl.where(c[:, None] == done, unit_W[None, :], columns_CW)
    at_C = block * PER_BLOCK + c
    at_first_CW = (r * HALF + at_C)[:, None] * WIDTH + w[None, :]
    is_first_CW = real_CW & (at_C < HALF)[:, None]
    tl.store(first + at_first_CW, columns_CW.to(first.dtype.element_ty), mask=is_first_CW)
    if BOTH > HALF:
        at_second_CW = (r * (BOTH - HALF) + at_C - HALF)[:, None] * WIDTH + w[None, :]
        is_second_CW = real_CW & ((at_C >= HALF) & (at_C < BOTH))[:, None]
        tl.store(second + at_second_CW, columns_CW.to(second.dtype.element_ty), mask=is_second_CW)
