"""Many lists of buckets are sorted as one: each list's buckets have numbers of their own.

Of several long lists PyTorch sorts all twice, or one after the other, in many launches.

Shapes: B batch, H heads, R rounds, L length, N buckets; X numbers of a tile.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from reformer.kernels.triton.launch import Launches, cdiv, launch, on_device_of

BLOCK = 512  # numbers of a program


def sort_as_one(buckets_BHRL: Tensor, n_buckets: int, valid_length: int) -> tuple[Tensor, Tensor]:
    """Return the order of every list and where its buckets end, as reformer.sorting.sort_buckets.

    The product of lists and buckets, or positions, must be 2^30 at most. Padding has the last
    bucket.
    """
    *lists, length = buckets_BHRL.shape
    buckets, n_lists = buckets_BHRL.contiguous(), math.prod(lists)
    n_buckets += valid_length < length
    fits = n_lists * n_buckets <= 2**15  # half of the passes
    keys = buckets.new_empty(buckets.numel(), dtype=torch.int16 if fits else torch.int32)
    n_programs = cdiv(len(keys), BLOCK)
    of_ends = cdiv(n_lists * n_buckets, BLOCK)
    sizes = len(keys), length, n_buckets
    with on_device_of(buckets):
        launch(
            ("keys", sizes),
            lambda: Launches(write_keys, n_programs, sizes, [{"BLOCK_X": BLOCK}]),
            (buckets, keys),
            valid_length,
        )
        found, places = torch.sort(keys, stable=True)
        order_BHRL = torch.empty_like(buckets)
        ends_BHRN = buckets.new_empty((*lists, n_buckets))
        numbers = (*sizes, n_lists * n_buckets, length.bit_length())
        launch(
            ("order", numbers),
            lambda: Launches(write_order, n_programs + of_ends, numbers, [{"BLOCK_X": BLOCK}]),
            (found, places, order_BHRL, ends_BHRN),
        )
    return order_BHRL, ends_BHRN


@triton.jit(do_not_specialize=["valid_length"])
def write_keys(buckets, keys, size, length, n_buckets, valid_length, BLOCK_X: tl.constexpr):
    """Number the buckets of all lists, N of each list; padding is in the last of its list."""
    at_X = tl.program_id(0) * BLOCK_X + tl.arange(0, BLOCK_X)
    bucket_X = tl.load(buckets + at_X, mask=at_X < size, other=0)
    bucket_X = tl.where(at_X % length < valid_length, bucket_X, n_buckets - 1)
    key_X = at_X // length * n_buckets + bucket_X
    tl.store(keys + at_X, key_X.to(keys.dtype.element_ty), mask=at_X < size)


@triton.jit
def write_order(
    found,
    places,
    order,
    ends,
    size,
    length,
    n_buckets,
    n_ends,
    n_tests,
    BLOCK_X: tl.constexpr,
):
    """Write each position by its place within its list, and where each bucket ends there.

    found: the sorted keys; places: where each was. The first programs write the order, those after
    them the ends: a bucket ends where as many keys are no larger, found by bisection in n_tests.
    """
    of_order = tl.cdiv(size, BLOCK_X)
    if tl.program_id(0) < of_order:
        at_X = tl.program_id(0) * BLOCK_X + tl.arange(0, BLOCK_X)
        place_X = tl.load(places + at_X, mask=at_X < size, other=0).to(tl.int32)
        tl.store(order + at_X, place_X - at_X // length * length, mask=at_X < size)
    else:
        key_X = (tl.program_id(0) - of_order) * BLOCK_X + tl.arange(0, BLOCK_X)
        within_X = key_X < n_ends
        start_X = tl.where(within_X, key_X // n_buckets * length, 0)
        least_X = tl.zeros((BLOCK_X,), tl.int32)
        most_X = tl.zeros((BLOCK_X,), tl.int32) + length
        for _ in range(n_tests):
            middle_X = (least_X + most_X) // 2
            open_X = within_X & (least_X < most_X)
            no_larger_X = tl.load(found + start_X + middle_X, mask=open_X, other=0) <= key_X
            least_X = tl.where(open_X & no_larger_X, middle_X + 1, least_X)
            most_X = tl.where(open_X & (no_larger_X == 0), middle_X, most_X)
        tl.store(ends + key_X, least_X, mask=within_X)
