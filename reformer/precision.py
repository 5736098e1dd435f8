"""What is written in PyTorch computes in float32 or more what must not be rounded to 16 bits.

Attention's products are of the inputs' dtype, which rounds logits too; the projections of the hash,
norms, log-normalisers, the softmax and sums are float32 at least.
"""

import torch
from torch import Tensor

# A vector no longer than this has no direction: as a key it is 0 and has no gradient, where a
# division would make one of 1e12, to which clipping would scale all others.
MIN_NORM = 1e-12


def norms_of(x: Tensor) -> Tensor:
    """Return the norms of vectors (..., 1), in `sum_dtype`; inf for one that has no direction."""
    norms = x.norm(dim=-1, keepdim=True, dtype=sum_dtype(x))
    return norms.masked_fill(norms <= MIN_NORM, torch.inf)


def normalized(x: Tensor) -> Tensor:
    """Give vectors (..., width) length 1, in their own dtype; 0 to one that has no direction."""
    return (x / norms_of(x)).to(x.dtype)


def sum_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which norms, log-normalisers and sums over `x` are kept."""
    return torch.promote_types(x.dtype, torch.float32)
