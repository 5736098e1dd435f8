"""LSH attention hashes, sorts, attends within chunks and merges the rounds (paper, section 2).

Shapes: B batch, H heads, L length, W head width, R rounds.
"""

import torch
from torch import Tensor

from reformer import kernels
from reformer.config import LSHConfig
from reformer.eager import eagerly
from reformer.hashing import draw_rotations, rotate_to_buckets
from reformer.inputs import require_buckets, require_order, require_pair, require_vectors
from reformer.sorting import SortedRounds, keep_order, sort_buckets, sort_rounds


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
    differentiable, all equal to reformer/reference.py. A batch of none gives none. A NaN in qk makes
    NaN of every position that attends with it or to it, an infinite number of every position that
    attends to it; one that attends to nobody else keeps its own value (NaN in "plain"), and so can
    a position whose own qk is infinite. From |qk| logit_scale of 5e4 on the penalty of eq. 16, 1e5,
    hides a position from itself no longer: there only "plain" follows it, the others still hide.

    With config.causal no position attends to a later one, but later tokens change earlier outputs a
    little: all positions are sorted together, so that they move the chunk borders, and a pair in
    one bucket meets or not (section 2, eq. 5). `Reformer.past_only_logits` is free of that.

    Raises ValueError on what does not fit (shapes, dtypes, devices, the range of buckets), and
    naming the nearest legal lengths if chunk_length does not divide the length.
    """
    require_pair(qk, v, config)
    config.require_length(qk.shape[-2])
    if buckets is None:
        rounds = hash_and_sort(qk, config, generator=generator, kernel=kernel)
    else:
        rounds = sort_rounds(buckets, require_buckets(buckets, qk, config), config)
    return attend_rounds(qk, v, rounds, config, kernel)


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
    n_buckets, factors = config.n_buckets(whole_length), config.hash_factors(whole_length)
    if n_buckets == 1:
        same = qk.new_zeros((*qk.shape[:2], config.n_rounds, length), dtype=torch.int32)
        return sort_rounds(same, n_buckets, config, valid_length, keep_order)
    rotations = draw_rotations(width, factors, config.n_rounds, generator, config.rotation)
    twins = kernels.module_for(kernel, qk)
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
    require_order(rounds.order_BHRL, qk, config)
    attend = kernels.module_for(kernel, qk).attend
    return qk + v if qk.numel() == 0 else attend(qk, v, rounds, config)
