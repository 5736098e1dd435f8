"""The output layer and the cross-entropy are computed in pieces of the length (paper, section 3).

So the logits are never whole in memory.

Shapes: B batch, L length, D model width, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from reformer.autocast import autocast_device
from reformer.eager import eagerly
from reformer.gradients import added, differentiable_once, differentiate, pieces
from reformer.inputs import require_target_shape
from reformer.recording import Recording

IGNORED = -100  # a target that does not count


@eagerly
def chunked_cross_entropy(
    hidden_BLD: Tensor, head: nn.Module, targets_BL: Tensor, n_chunks: int
) -> Tensor:
    """Average the cross-entropy in nats of `head(hidden)` over the targets that are not -100.

    Returns a scalar, which is 0 where no target counts. The gradients of each of `n_chunks` pieces
    are computed at once with its loss and only scaled in the backward pass: nothing is recomputed,
    and one piece's logits are alive at a time. With float16 they are computed in the backward pass,
    where the loss has been scaled.
    """
    require_target_shape(targets_BL, hidden_BLD.shape[:-1])
    targets_BL = targets_BL.long()
    n_counted = (targets_BL != IGNORED).sum().clamp(min=1)

    def piece_loss(hidden: Tensor, targets: Tensor) -> Tensor:
        hidden, targets = counted_only(hidden, targets)
        logits_XV = head(hidden).float() if hidden.dtype.itemsize < 4 else head(hidden)
        logits_XV = logits_XV.flatten(0, -2)
        nats = cross_entropy(logits_XV, targets.flatten(), ignore_index=IGNORED, reduction="sum")
        return nats / n_counted

    if n_chunks == 1:
        return piece_loss(hidden_BLD, targets_BL)
    if not torch.is_grad_enabled():
        losses = [piece_loss(*piece) for piece in pieces(n_chunks, hidden_BLD, targets_BL)]
        return torch.stack(losses).sum()
    # gradients made here, before the loss is scaled, would be too small for float16
    at_once = not computes_in_float16(hidden_BLD)
    recording = Recording(head, hidden_BLD)
    call = _Call(piece_loss, n_chunks, recording, at_once)
    return _InPieces.apply(hidden_BLD, targets_BL, call, *recording.tensors)


def counted_only(hidden_BLD: Tensor, targets_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Leave out, on the CPU, the positions that do not count: (1, N, D) and (1, N).

    Elsewhere their number is known only by waiting for the device. Where all count nothing changes.
    """
    if targets_BL.device.type != "cpu":
        return hidden_BLD, targets_BL
    counted_BL = targets_BL != IGNORED
    if bool(counted_BL.all()):
        return hidden_BLD, targets_BL
    return hidden_BLD[counted_BL].unsqueeze(0), targets_BL[counted_BL].unsqueeze(0)


def computes_in_float16(x: Tensor) -> bool:
    """Are products with x of float16, by its own type or by autocast?"""
    kind = autocast_device(x)
    if torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind) == torch.float16
    return x.dtype == torch.float16


class _Call(NamedTuple):
    piece_loss: Callable[[Tensor, Tensor], Tensor]
    n_chunks: int
    head: Recording
    at_once: bool  # are gradients made with the loss?

    def differentiated(
        self,
        hidden: Tensor,
        targets: Tensor,
        tensors: Sequence[Tensor],
        needs_grad: Sequence[bool],
        grad_loss: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """Compute the loss, and the gradients of hidden and of the head's tensors."""
        grad_hidden = torch.empty_like(hidden)
        losses = []
        # the graphs of the pieces end here: whoever packs what is saved has nothing to do with them
        here = torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x)
        with here, self.head.again(tensors, needs_grad, is_first=self.at_once):
            parameters = tuple(self.head.module.parameters())
            totals: list[Tensor | None] = [None] * len(parameters)
            for x, target, grad_piece in pieces(self.n_chunks, hidden, targets, grad_hidden):
                with torch.enable_grad():
                    x = x.detach().requires_grad_()
                    nats = self.piece_loss(x, target)
                of_x, grads = differentiate(nats, x, parameters, grad_loss)
                losses.append(nats.detach())
                grad_piece.copy_(of_x)
                totals = list(map(added, totals, grads))
                del nats, of_x, grads  # or they live on beside those of the next piece
        return torch.stack(losses).sum(), (grad_hidden, *self.head.padded(totals))


class _InPieces(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, call: _Call, *tensors: Tensor) -> Tensor:
        ctx.call = None if call.at_once else call
        if call.at_once:
            loss, grads = call.differentiated(hidden, targets, tensors, ctx.needs_input_grad[3:])
            ctx.save_for_backward(*grads)
            return loss
        with call.head.watched():
            whole = pieces(call.n_chunks, hidden, targets)
            loss = torch.stack([call.piece_loss(*piece) for piece in whole]).sum()
        call.head.note(loss)
        ctx.save_for_backward(hidden, targets, *call.head.tensors)
        return loss

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        found = ctx.saved_tensors
        if ctx.call is None:
            found = [None if grad is None else grad * grads[0] for grad in found]
        else:
            hidden, targets, *tensors = found
            needs = ctx.needs_input_grad[3:]
            loss, found = ctx.call.differentiated(hidden, targets, tensors, needs, grads[0])
            ctx.call.head.require_same(loss)
        return found[0], None, None, *found[1:]
