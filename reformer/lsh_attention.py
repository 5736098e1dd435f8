"""LSH attention hashes, sorts, attends within chunks and merges the rounds (paper, section 2).

Shapes: B batch, H heads, L length, W head width, R rounds.
"""

import torch
from torch import Tensor

from reformer import kernels
from reformer.checks import require
from reformer.config import LSHConfig
from reformer.eager import eagerly
from reformer.hashing import draw_rotations, rotate_to_buckets
from reformer.sorting import SortedRounds, sort_buckets, sort_rounds


@eagerly
def lsh_attention(
    qk: Tensor,
    v: Tensor,
    config: LSHConfig,
    *,
    buckets: Tensor | None = None,
    generator: torch.Generator | None = None,
    kernel: str = "auto",
) -> Tensor:
    """Attend from every position to those of its bucket and chunk window, over all rounds.

    Equations 2 to 5, 14 and 16. qk, v: (batch, heads, length, width); qk is query and key at once.
    Returns (batch, heads, length, width). buckets: (batch, heads, n_rounds, length) integers, to
    attend with a given hash instead of drawing one. generator: the CPU generator of the hash; None
    means torch's global one. kernel: "auto" or the name of one in reformer/kernels; all
    differentiable, all equal to reformer/reference.py. Raises ValueError on shapes that do not fit,
    and naming the nearest legal lengths if chunk_length does not divide the length.
    """
    require(
        qk.dim() == 4 and qk.shape == v.shape,
        f"qk {tuple(qk.shape)} and v {tuple(v.shape)} must both be (batch, heads, length, width)",
    )
    length = qk.shape[-2]
    config.require_length(length)
    n_buckets = config.n_buckets(length)
    if buckets is None:
        rounds = hash_and_sort(qk, config, generator=generator, kernel=kernel)
    else:
        expected = (*qk.shape[:2], config.n_rounds, length)
        require(
            tuple(buckets.shape) == expected and not buckets.is_floating_point(),
            f"buckets are {buckets.dtype} {tuple(buckets.shape)}; they must be integers {expected}",
        )
        require(int(buckets.min()) >= 0, f"buckets start at {int(buckets.min())}; the first is 0")
        rounds = sort_rounds(buckets, max(n_buckets, int(buckets.max()) + 1), config)
    return attend_rounds(qk, v, rounds, config, kernel)


@eagerly
def hash_and_sort(
    qk: Tensor,
    config: LSHConfig,
    *,
    generator: torch.Generator | None = None,
    valid_length: int | None = None,
    kernel: str = "auto",
) -> SortedRounds:
    """Draw a hash of qk (batch, heads, length, width) for every round and sort by it.

    Positions from `valid_length` on are padding. generator and kernel: see lsh_attention.
    """
    length, width = qk.shape[-2:]
    n_buckets, factors = config.n_buckets(length), config.hash_factors(length)
    rotations = draw_rotations(width, factors, config.n_rounds, generator)
    rotate, sort = rotate_to_buckets, sort_buckets
    if kernels.pick(kernel, qk) == "native":
        rotate, sort = kernels.native.hash_to_buckets, kernels.native.sort_buckets
    buckets_BHRL = rotate(qk, rotations, config.n_rounds)
    return sort_rounds(buckets_BHRL, n_buckets, config, valid_length, sort)


@eagerly
def attend_rounds(
    qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig, kernel: str = "auto"
) -> Tensor:
    """Attend in a given order, (batch, heads, length, width).

    A replay of the forward pass calls this instead of hashing again.
    """
    return kernels.module_for(kernel, qk).attend(qk, v, rounds, config)
