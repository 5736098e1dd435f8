"""Rounds of attention: positions are hashed and sorted, and attend in a given order (section 2).

Shapes: B batch, H heads, L length, W head width, R rounds.
"""

import math

import torch
from torch import Tensor

from reformer import kernels
from reformer.config import LSHConfig
from reformer.eager import eagerly
from reformer.hashing import draw_rotations, rotate_to_buckets
from reformer.inputs import require_order, require_pair, require_vectors
from reformer.sorting import SortedRounds, keep_order, sort_buckets, sort_rounds


@eagerly
def hash_and_sort(
    qk: Tensor,
    config: LSHConfig,
    *,
    generator: torch.Generator | None = None,
    valid_length: int | None = None,
    kernel: str = "auto",
    whole_length: int | None = None,
) -> SortedRounds:
    """Draw a hash of qk (batch, heads, length, width) for every round and sort by it.

    With one bucket nothing is drawn, hashed or sorted: that is local attention. Positions from
    `valid_length` on are padding, of which no bucket is counted. generator and kernel: see
    lsh_attention. whole_length: the length of the sequence of which qk is the beginning, hashed
    into the same buckets as the whole is; by default qk is the whole.
    """
    require_vectors("qk", qk)
    length, width = qk.shape[-2:]
    if whole_length is None:
        whole_length = length if valid_length is None else valid_length
    factors = config.hash_factors(whole_length)
    n_buckets = math.prod(factors)
    if n_buckets == 1:
        same = qk.new_zeros((*qk.shape[:2], config.n_rounds, length), dtype=torch.int32)
        return sort_rounds(same, n_buckets, config, valid_length, keep_order)
    twins = kernels.module_for(kernel, qk)
    drawn = factors, config.n_rounds, generator, config.rotation
    if hasattr(twins, "draw_rotations"):
        rotations = twins.draw_rotations(qk, *drawn)
    else:
        rotations = draw_rotations(width, *drawn)
    rotate = getattr(twins, "hash_to_buckets", rotate_to_buckets)
    sort = getattr(twins, "sort_buckets", sort_buckets)
    buckets_BHRL = rotate(qk, rotations, config.n_rounds)
    return sort_rounds(buckets_BHRL, n_buckets, config, valid_length, sort)


@eagerly
def attend_rounds(
    qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig, kernel: str = "auto"
) -> Tensor:
    """Attend in a given order, (batch, heads, length, width).

    A replay of the forward pass calls this instead of hashing again.
    """
    require_pair(qk, v, config)
    require_order(rounds.order_BHRL, rounds.ends_BHRN, qk, config)
    attend = kernels.module_for(kernel, qk).attend
    return qk + v if qk.numel() == 0 else attend(qk, v, rounds, config)
