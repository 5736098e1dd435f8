"""What is written in PyTorch computes in float32 or more what must not be rounded to 16 bits.

Attention's products are of the inputs' dtype; the projections of the hash, norms, logits,
log-normalisers and sums are float32 at least.
"""

import torch
from torch import Tensor

MIN_NORM = 1e-12  # a shorter vector is divided by this instead of by its norm


def sum_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which norms, log-normalisers and sums over `x` are kept."""
    return torch.promote_types(x.dtype, torch.float32)
