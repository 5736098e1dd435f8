"""The hash of all rounds in one launch, and the cells that tell which positions meet.

Shapes: B batch, H heads, L length, R rounds; X rows of a tile, W head width and C columns padded to
powers of two.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from reformer.checks import require
from reformer.kernels.triton.launch import Launches, cdiv, is_captured, launch, on_device_of, padded
from reformer.kernels.triton.pairs import load_rows

ROWS = 128  # of a program


def hash_to_buckets(vectors_BHLW: Tensor, rotations: Sequence[Tensor], n_rounds: int) -> Tensor:
    """Hash vectors whose rows are contiguous with one or two rotations, (B, H, R, L) int32.

    The twin of reformer.hashing.rotate_to_buckets: buckets differ from its only where two
    projections agree to rounding.
    """
    x, (B, H, L, W) = vectors_BHLW, vectors_BHLW.shape
    buckets_BHRL = torch.empty((B, H, n_rounds, L), dtype=torch.int32, device=x.device)
    constants = {
        "ROUNDS": n_rounds,
        "WIDTH": W,
        "HALF": rotations[0].shape[-1],
        "SECOND_HALF": rotations[1].shape[-1] if len(rotations) > 1 else 0,
        "BLOCK_X": ROWS,
        "BLOCK_W": padded(W),
    }
    numbers, programs = (*x.stride()[:3], H, L), B * H * cdiv(L, ROWS)
    with on_device_of(x):
        rows = _rows_of(rotations, x)
        launch(
            ("hash", programs, numbers, *constants.values()),
            lambda: Launches(hash_rows, programs, numbers, [constants]),
            (x, rows[0], rows[-1], buckets_BHRL),
        )
    return buckets_BHRL


def _rows_of(rotations: Sequence[Tensor], x: Tensor) -> list[Tensor]:
    """Lay columns (W, R, C) out as rows (R, C, W) beside x and in its dtype, if they are not so."""
    rows = [rotation_WRC.permute(1, 2, 0) for rotation_WRC in rotations]
    if all((r.device, r.dtype, r.is_contiguous()) == (x.device, x.dtype, True) for r in rows):
        return rows
    require(
        not is_captured(x),
        "a CUDA graph would hash with the same rotations at each replay; call this outside of it",
    )
    on_gpu = x.device.type == "cuda"  # pinned, or the copy would wait for all work before it
    packed = torch.empty(
        sum(r.numel() for r in rows), dtype=x.dtype, device="cpu", pin_memory=on_gpu
    )
    for place, r in zip(packed.split([r.numel() for r in rows]), rows, strict=True):
        place.view(r.shape).copy_(r)
    packed = packed.to(x.device, non_blocking=True)
    places = packed.split([r.numel() for r in rows])
    return [place.view(r.shape) for place, r in zip(places, rows, strict=True)]


@triton.jit
def nearest_axis(x_XW, rotation, WIDTH: tl.constexpr, HALF: tl.constexpr, BLOCK_W: tl.constexpr):
    """Rotate rows and take the nearest axis, argmax([xR ; -xR]); rotation: (HALF, WIDTH) rows."""
    BLOCK_C: tl.constexpr = max(16, triton.next_power_of_2(HALF))
    c = tl.arange(0, BLOCK_C)
    rotation_CW = load_rows(rotation, tl.minimum(c, HALF - 1), WIDTH, WIDTH, BLOCK_W)
    rotated_XC = tl.dot(x_XW, tl.trans(rotation_CW), input_precision="tf32x3")
    real = (c < HALF)[None, :]
    highest_X, at_highest_X = tl.max(
        tl.where(real, rotated_XC, float("-inf")), axis=1, return_indices=True
    )
    lowest_X, at_lowest_X = tl.min(
        tl.where(real, rotated_XC, float("inf")), axis=1, return_indices=True
    )
    digit_X = tl.where(highest_X >= -lowest_X, at_highest_X, at_lowest_X + HALF)
    return tl.minimum(digit_X, 2 * HALF - 1)  # of a row with NaN, which has no nearest axis


@triton.jit
def hash_rows(
    x,
    first,
    second,
    buckets,
    x_b,
    x_h,
    x_l,
    heads,
    length,
    ROUNDS: tl.constexpr,
    WIDTH: tl.constexpr,
    HALF: tl.constexpr,
    SECOND_HALF: tl.constexpr,
    BLOCK_X: tl.constexpr,
    BLOCK_W: tl.constexpr,
):
    """Hash the rows of a tile in every round.

    first, second: (R, HALF, W) and (R, SECOND_HALF, W) rows; SECOND_HALF is 0 where there is one
    rotation; buckets: (B, H, R, L) int32.
    """
    tiles = tl.cdiv(length, BLOCK_X)
    sequence = (tl.program_id(0) // tiles).to(tl.int64)
    at_X = tl.program_id(0) % tiles * BLOCK_X + tl.arange(0, BLOCK_X)
    within_X = at_X < length
    start = x + sequence // heads * x_b + sequence % heads * x_h
    x_XW = load_rows(start, tl.where(within_X, at_X, 0), x_l, WIDTH, BLOCK_W)
    for r in tl.static_range(ROUNDS):
        bucket_X = nearest_axis(x_XW, first + r * HALF * WIDTH, WIDTH, HALF, BLOCK_W)
        if SECOND_HALF > 0:
            rotation = second + r * SECOND_HALF * WIDTH
            digit_X = nearest_axis(x_XW, rotation, WIDTH, SECOND_HALF, BLOCK_W)
            bucket_X = bucket_X * (2 * SECOND_HALF) + digit_X
        where_X = buckets + (sequence * ROUNDS + r) * length + at_X
        tl.store(where_X, bucket_X.to(tl.int32), mask=within_X)


@triton.jit
def write_cells(
    order,
    ends,
    cells,
    length,
    n_buckets,
    n_chunks,
    n_tests,
    CHUNK_LENGTH: tl.constexpr,
    ROUNDS: tl.constexpr,
    WITHIN_BUCKET: tl.constexpr,
    BLOCK_X: tl.constexpr,
):
    """Write the cell of every position, bucket * 2 n_chunks + chunk (sorting.py), (B, H, L, R).

    The bucket of a place is how many buckets end at or before it, found by bisection in n_tests.
    """
    tiles = tl.cdiv(length, BLOCK_X)
    one_list = (tl.program_id(0) // tiles).to(tl.int64)
    sequence, r = one_list // ROUNDS, one_list % ROUNDS
    place_X = tl.program_id(0) % tiles * BLOCK_X + tl.arange(0, BLOCK_X)
    within_X = place_X < length
    at_X = tl.load(order + one_list * length + place_X, mask=within_X, other=0)
    bucket_X = tl.zeros((BLOCK_X,), tl.int32)
    if WITHIN_BUCKET:
        most_X = tl.full((BLOCK_X,), n_buckets, tl.int32)
        for _ in range(n_tests):
            middle_X = (bucket_X + most_X) // 2
            open_X = bucket_X < most_X
            end_X = tl.load(ends + one_list * n_buckets + middle_X, mask=open_X, other=0)
            bucket_X = tl.where(open_X & (end_X <= place_X), middle_X + 1, bucket_X)
            most_X = tl.where(open_X & (end_X > place_X), middle_X, most_X)
    cell_X = bucket_X.to(cells.dtype.element_ty) * (2 * n_chunks) + place_X // CHUNK_LENGTH
    tl.store(cells + (sequence * length + at_X) * ROUNDS + r, cell_X, mask=within_X)
