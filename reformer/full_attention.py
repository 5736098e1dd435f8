"""Causal full attention runs PyTorch's fused kernel, with or without the position itself.

Shapes: B batch, H heads, L length, W head width.
"""

from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention


def fused_attention(
    q_BHLW: Tensor, k_BHLW: Tensor, v_BHLW: Tensor, scale: float, exclude_self: bool
) -> Tensor:
    """Attend causally to all keys, or to all but the position itself (section 2, shared QK).

    Takes and returns (batch, heads, length, width); `scale` multiplies q . k. With `exclude_self` a
    position attends to itself only when alone: position 0 takes its own value, and position i > 0
    sees keys 0 to i - 1, which is ordinary causal attention of queries 1.. to keys ..length - 2. So
    there is no mask and no l x l matrix.
    """
    if not exclude_self:
        return scaled_dot_product_attention(q_BHLW, k_BHLW, v_BHLW, is_causal=True, scale=scale)
    out_BHLW = scaled_dot_product_attention(
        q_BHLW[:, :, 1:], k_BHLW[:, :, :-1], v_BHLW[:, :, :-1], is_causal=True, scale=scale
    )
    return pad(out_BHLW, (0, 0, 1, 0)) + pad(v_BHLW[:, :, :1], (0, 0, 0, v_BHLW.shape[-2] - 1))
