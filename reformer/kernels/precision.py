"""The kernels written in PyTorch compute what must not be rounded to 16 bits in float32 or more.

Products are of the inputs' dtype; norms, logits, log-normalisers and sums are float32 at least.
"""

import torch
from torch import Tensor

MIN_NORM = 1e-12  # a shorter vector is divided by this instead of by its norm


def sum_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which norms, log-normalisers and sums over `x` are kept."""
    return torch.promote_types(x.dtype, torch.float32)
