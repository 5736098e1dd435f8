"""LSH attention hashes, sorts, attends within chunks and merges the rounds (paper, section 2).

Shapes: B batch, H heads, L length, W head width, R rounds.
"""

from weakref import WeakSet

import torch
from torch import Tensor

from reformer.config import LSHConfig
from reformer.eager import eagerly
from reformer.inputs import require_buckets, require_generator, require_pair
from reformer.operators import IN_GRAPHS, attend_in_graph
from reformer.recording import is_put_back
from reformer.rounds import attend_rounds, hash_and_sort
from reformer.sorting import sort_rounds


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
    differentiable, all equal to reformer/reference.py. A batch of none gives none.

    On a GPU "triton" draws other hashes from the same generator than the other kernels. It can be
    captured in a CUDA graph, without generator: each replay hashes anew, from the GPU's generator.

    A qk that is not finite makes NaN of every position that attends with it or to it (an infinite
    one may leave its own position with its own value). One that attends to nobody else keeps its
    own value, in "plain" only if its qk is finite. A v that is not finite makes NaN of more
    positions of its chunk and the next ones, as 0 times it is NaN. A qk of length 0 is no key and
    has no gradient as one; in float32 |qk| must be below 1e19, or its square overflows. The penalty
    of eq. 16, 1e5, hides a position from itself while |qk| logit_scale is below 5e4; above that
    only "plain" follows it, the others still hide.

    With config.causal no position attends to a later one, but later tokens change earlier outputs a
    little: all positions are sorted together, so that they move the chunk borders, and a pair in
    one bucket meets or not (section 2, eq. 5). `Reformer.past_only_logits` is free of that.

    torch.compile holds a call without generator and buckets as operators (reformer/operators.py),
    whose hash the graph draws; before any other its graph ends, and goes on after it.

    Raises ValueError on what does not fit (shapes, dtypes, devices, the range of buckets), and
    naming the nearest legal lengths if chunk_length does not divide the length. Raises RuntimeError
    if it is computed again in a backward pass with a generator, which has gone on.
    """
    drawn_here = buckets is None and generator is None
    if drawn_here and kernel in IN_GRAPHS and torch.compiler.is_dynamo_compiling():
        return attend_in_graph(qk, v, config, kernel)
    return _outside_graphs(qk, v, config, buckets, generator, kernel)


def _attend(
    qk: Tensor,
    v: Tensor,
    config: LSHConfig,
    buckets: Tensor | None,
    generator: torch.Generator | None,
    kernel: str,
) -> Tensor:
    require_pair(qk, v, config)
    config.require_length(qk.shape[-2])
    if generator is not None:
        _require_same_draw(generator)
    if buckets is None:
        rounds = hash_and_sort(qk, config, generator=generator, kernel=kernel)
    else:
        rounds = sort_rounds(buckets, require_buckets(buckets, qk, config), config)
    return attend_rounds(qk, v, rounds, config, kernel)


# Generators that hashes were drawn from outside of any backward pass.
_used: WeakSet[torch.Generator] = WeakSet()


def _require_same_draw(generator: torch.Generator) -> None:
    """Raise RuntimeError in a backward pass that computes a call again, which had drawn before.

    Raises ValueError if it is no generator on the CPU. What computes again puts PyTorch's global
    one back.
    """
    require_generator(generator)
    if torch._C._current_graph_task_id() == -1:
        _used.add(generator)
    elif generator in _used and generator is not torch.default_generator:
        if not is_put_back(generator):
            raise RuntimeError(
                "lsh_attention is called in a backward pass, as torch.utils.checkpoint does to "
                "compute it again, with a generator that has gone on since: pass buckets, or leave "
                "generator out (checkpoint puts PyTorch's global one back)"
            )


_outside_graphs = eagerly(_attend, "lsh_attention")
