"""Gradients made by hand: what needs none has None, and a second derivative is refused."""

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

Gradients = tuple[Tensor | None, ...]
SECOND_DERIVATIVE = (
    b"a gradient of a gradient was asked for through a backward pass that is written by hand, and "
    b"has no derivative: use reversible=False, ff_chunks=1, loss_chunks=1 and kernel='plain'"
)


def differentiate(
    out: Tensor | GradientEdge | None,
    x: Tensor,
    parameters: Sequence[Tensor],
    grad_out: Tensor | None = None,
) -> tuple[Tensor, Gradients]:
    """Compute the gradients of x and of the parameters; None for one without, frozen or unused.

    out: what is differentiated, its edge in the graph, or None where it depends on nothing. Raises
    RuntimeError if it depends on anything else that needs a gradient, which would be lost.
    """
    edge = edge_of(out) if isinstance(out, Tensor) else out
    if edge is None:
        return torch.zeros_like(x), (None,) * len(parameters)
    wanted = [p for p in parameters if p.requires_grad]
    refuse_others(edge, (x, *wanted))
    grad_x, *grads = torch.autograd.grad(edge, (x, *wanted), grad_out, allow_unused=True)
    found = dict(zip(map(id, wanted), grads, strict=True))
    grad_x = torch.zeros_like(x) if grad_x is None else grad_x
    return grad_x, tuple(found.get(id(p)) for p in parameters)


def edge_of(out: Tensor) -> GradientEdge | None:
    """Return where the gradient of `out` enters the graph; None if it depends on nothing."""
    return get_gradient_edge(out) if out.requires_grad else None


def refuse_others(edge: GradientEdge, known: Sequence[Tensor]) -> None:
    """Raise RuntimeError if a leaf of the graph behind the edge is none of the known ones."""
    ours = {id(x) for x in known}
    found: list[Node | None] = [edge.node]
    seen = set()
    for node in found:
        if node is None or node in seen:
            continue
        seen.add(node)
        found.extend([one for one, _ in node.next_functions])
        if type(node).__name__ != "AccumulateGrad":  # those alone have a leaf, their variable
            continue
        leaf: Tensor = node.variable  # type: ignore[attr-defined]
        if id(leaf) not in ours:
            raise RuntimeError(
                "a part of the model whose gradients are made piece by piece, or by computing it "
                f"again, uses a tensor {tuple(leaf.shape)} that needs a gradient and is no "
                "parameter of that part, or what was made from one (a hook's or encoder's tensor, "
                "a leaf made in the call, a module in a plain list, a replica of DataParallel, a "
                "shard of FSDP): make it a parameter of the part, detach it, or use "
                "reversible=False, ff_chunks=1 and loss_chunks=1"
            )


def pieces(n: int, *whole: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors (batch, length, ...) into so many pieces of the length, side by side."""
    return zip(*(x.chunk(n, dim=1) for x in whole), strict=True)


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
