"""Full attention comes in three ways: `naive`, `memory_efficient` (the paper's) and `sdpa`.

The last is PyTorch's fused kernel. All take q, k, v of shape (batch, heads, length, width) and
return the same shape, causal, keys scaled as the caller wants them. With `exclude_self` a position
attends to itself only when nothing else is left (shared QK, section 2).

Shapes: B batch, H heads, L length, W head width.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from reformer.checks import find_own, is_own, refuse_unknown, require
from reformer.full_attention import fused_attention

# Queries a slice of the memory-efficient attention holds: logits of 128 x length are alive at a
# time.
SLICE = 128


def naive(q: Tensor, k: Tensor, v: Tensor, scale: float, exclude_self: bool) -> Tensor:
    """Compute the whole l x l matrix of logits and that of weights, as every textbook has it."""
    return _rows(q, k, v, 0, scale, exclude_self)


def memory_efficient(q: Tensor, k: Tensor, v: Tensor, scale: float, exclude_self: bool) -> Tensor:
    """Compute a slice of queries at a time, and again in the backward pass (section 1).

    Its memory is linear in the length.
    """
    outputs = [
        checkpoint(
            _rows,
            q[..., start : start + SLICE, :],
            k[..., : start + SLICE, :],
            v[..., : start + SLICE, :],
            start,
            scale,
            exclude_self,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for start in range(0, q.shape[-2], SLICE)
    ]
    return torch.cat(outputs, dim=-2)


def _rows(q: Tensor, k: Tensor, v: Tensor, first: int, scale: float, exclude_self: bool) -> Tensor:
    """Attend from queries at positions `first` and on to the keys at 0 and on."""
    i = torch.arange(first, first + q.shape[-2], device=q.device).unsqueeze(-1)
    j = torch.arange(k.shape[-2], device=q.device)
    hidden = (j >= i) & (i > 0) | (j > i) if exclude_self else j > i
    logits = (q * scale @ k.transpose(-1, -2)).masked_fill(hidden, -torch.inf)
    return logits.softmax(dim=-1) @ v


Attention = Callable[[Tensor, Tensor, Tensor, float, bool], Tensor]
ATTEND: dict[str, Attention] = {
    "naive": naive,
    "memory_efficient": memory_efficient,
    "sdpa": fused_attention,
}


def find_attention(name: str) -> Attention:
    """Find an attention by its name in ATTEND, or the user's own as "package.module:function".

    The user's own takes q, k, v, scale and exclude_self as those above do. Raises ValueError if
    there is none.
    """
    if not is_own(name):
        refuse_unknown(name, ATTEND, "attention")
        return ATTEND[name]
    found: Attention = find_own(name, "attention")
    require(callable(found), f"attention {name!r} is no function")
    return found
