"""Gradients made by hand: what needs none has None, and a second derivative is refused."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

Gradients = tuple[Tensor | None, ...]
SECOND_DERIVATIVE = (
    b"a gradient of a gradient was asked for through a backward pass that is written by hand, and "
    b"has no derivative: use reversible=False, ff_chunks=1, loss_chunks=1 and kernel='plain'"
)


def differentiate(
    out: Tensor | GradientEdge,
    x: Tensor,
    parameters: Sequence[Tensor],
    grad_out: Tensor | None = None,
) -> tuple[Tensor, Gradients]:
    """Compute the gradients of x and of the parameters; None for one without, frozen or unused."""
    wanted = [p for p in parameters if p.requires_grad]
    grad_x, *grads = torch.autograd.grad(out, (x, *wanted), grad_out, allow_unused=True)
    found = dict(zip(map(id, wanted), grads, strict=True))
    grad_x = torch.zeros_like(x) if grad_x is None else grad_x
    return grad_x, tuple(found.get(id(p)) for p in parameters)


def added(total: Tensor | None, grad: Tensor | None) -> Tensor | None:
    """Add a piece's gradient to the sum of those before, in place; None stands for no gradient.

    The first is copied: PyTorch gives one tensor to several parameters that are added together, or
    the incoming gradient itself. A sum of many pieces in half precision would lose what they have.
    """
    if grad is None:
        return total
    if total is None:
        return grad.to(torch.float32 if grad.dtype.itemsize < 4 else grad.dtype, copy=True)
    return total.add_(grad)


def differentiable_once(backward: Callable[..., tuple[Any, ...]]) -> Callable[..., Any]:
    """Make the backward of an autograd Function refuse to be differentiated itself.

    PyTorch's own `once_differentiable` lets it pass where the gradient that comes in is a constant,
    as at the end of a loss: a second derivative is then silently incomplete.
    """

    @wraps(backward)
    def refusing(ctx: Any, *grads: Any) -> Any:
        with torch.no_grad():
            found = backward(ctx, *grads)
        if not torch.is_grad_enabled():
            return found
        refuse: Any = torch._C._functions.DelayedError(SECOND_DERIVATIVE, len(found))
        return refuse(*(None if g is None else g.detach().requires_grad_() for g in found))

    return refusing
