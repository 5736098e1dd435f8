"""The output layer and the cross-entropy are computed in pieces of the length (paper, section 3).

So the logits are never whole in memory.

Shapes: B batch, L length, D model width, V vocabulary.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from reformer.eager import eagerly
from reformer.inputs import require_target_shape

IGNORED = -100  # a target that does not count


@eagerly
def chunked_cross_entropy(
    hidden_BLD: Tensor, head: nn.Module, targets_BL: Tensor, n_chunks: int
) -> Tensor:
    """Average the cross-entropy in nats of `head(hidden)` over the targets that are not -100.

    Returns a scalar, which is 0 where no target counts. The gradients of each of `n_chunks` pieces
    are computed at once with its loss and only scaled in the backward pass: nothing is recomputed,
    and one piece's logits are alive at a time.
    """
    require_target_shape(targets_BL, hidden_BLD.shape[:-1])
    targets_BL = targets_BL.long()
    n_counted = (targets_BL != IGNORED).sum().clamp(min=1)

    def piece_loss(hidden: Tensor, targets: Tensor) -> Tensor:
        logits_XV = head(hidden).float() if hidden.dtype.itemsize < 4 else head(hidden)
        logits_XV = logits_XV.flatten(0, -2)
        nats = cross_entropy(logits_XV, targets.flatten(), ignore_index=IGNORED, reduction="sum")
        return nats / n_counted

    if n_chunks == 1:
        return piece_loss(hidden_BLD, targets_BL)
    pieces = zip(hidden_BLD.chunk(n_chunks, dim=1), targets_BL.chunk(n_chunks, dim=1), strict=True)
    if not torch.is_grad_enabled():
        return torch.stack([piece_loss(*piece) for piece in pieces]).sum()
    return _InPieces.apply(hidden_BLD, piece_loss, targets_BL, n_chunks, *head.parameters())


class _InPieces(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        piece_loss: Callable[[Tensor, Tensor], Tensor],
        targets: Tensor,
        n_chunks: int,
        *parameters: Tensor,
    ) -> Tensor:
        grad_hidden = torch.empty_like(hidden)
        totals = [torch.zeros_like(p) for p in parameters]
        loss = torch.zeros((), device=hidden.device)
        pieces = zip(
            *(t.chunk(n_chunks, dim=1) for t in (hidden, targets, grad_hidden)), strict=True
        )
        for x, target, grad_piece in pieces:
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                nats = piece_loss(x, target)
                grads = torch.autograd.grad(nats, (x, *parameters))
            loss = loss + nats.detach()
            grad_piece.copy_(grads[0])
            for total, grad in zip(totals, grads[1:], strict=True):
                total += grad
            del nats, grads  # or they live on beside those of the next piece
        ctx.save_for_backward(grad_hidden, *totals)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        grad_hidden, *totals = (saved * grads[0] for saved in ctx.saved_tensors)
        return grad_hidden, None, None, None, *totals
