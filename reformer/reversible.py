"""Reversible residual layers store the last pair of streams and rebuild the others (section 3).

Y1 = X1 + Attention(X2), Y2 = X2 + FeedForward(Y1) (eq. 9). The backward pass rebuilds the streams
layer by layer. What a branch chose at random (its hash order, its dropout masks) is kept as
`Choices`, because hashing rebuilt activations again would flip buckets: an int32 order and a seed
replace a layer's activations.

Shapes: B batch, L length, D model width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from reformer.choices import Choices
from reformer.gradients import Gradients, differentiable_once, differentiate, edge_of
from reformer.hooks import is_called_plainly
from reformer.recording import Recording

Backward = Callable[[Tensor], tuple[Tensor, Gradients]]


class Branch(nn.Module):
    """Compute one branch of a residual layer, and exactly the same again with the same choices."""

    p: float  # of dropout

    def forward(self, x_BLD: Tensor, choices: Choices) -> Tensor:
        """Compute the branch, from its own LayerNorm to its output, (batch, length, d_model)."""
        raise NotImplementedError

    def mask_generator(self, x: Tensor, choices: Choices) -> torch.Generator | None:
        """Make the generator of this call's dropout masks, None where nothing is dropped."""
        return choices.generator(x.device) if self.training and self.p > 0 else None

    def forward_and_gradients(
        self, x_BLD: Tensor, choices: Choices, grad_out: Tensor
    ) -> tuple[Tensor, Tensor, Gradients]:
        """Compute the output, and the gradients of the input and of each parameter.

        A parameter that needs no gradient, or is not used, has None.
        """
        out, backward = replay(self, x_BLD, choices)
        return out, *backward(grad_out)


def replay(branch: nn.Module, x_BLD: Tensor, choices: Choices) -> tuple[Tensor, Backward]:
    """Compute a branch's output, and make the function that differentiates the branch.

    The function takes the output's gradient and returns that of the input and those of the
    parameters. It can be called once; the output itself may be dropped before.
    """
    with torch.enable_grad():
        x_BLD = x_BLD.detach().requires_grad_()
        out = branch(x_BLD, choices)
    edge, dtype = edge_of(out), out.dtype

    def backward(grad_out: Tensor) -> tuple[Tensor, Gradients]:
        return differentiate(edge, x_BLD, tuple(branch.parameters()), grad_out.to(dtype))

    return out.detach(), backward


def dropout(x: Tensor, p: float, generator: torch.Generator | None) -> Tensor:
    """Set numbers to 0 with probability `p`, drawn from a generator on the device of x.

    What is left is divided by 1 - p. Without a generator x comes back as it is.
    """
    if generator is None:
        return x
    keep = torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - p, generator=generator)
    return x * keep / (1 - p)


class Layer(nn.Module):
    """Connect attention and feed-forward by residuals, ordinary (called) or reversible."""

    def __init__(self, attention: Branch, feed_forward: Branch) -> None:
        super().__init__()
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x_BLD: Tensor, choices: Sequence[Choices]) -> Tensor:
        """Compute the ordinary Transformer layer, (batch, length, d_model)."""
        x_BLD = x_BLD + self.attention(x_BLD, choices[0])
        return x_BLD + self.feed_forward(x_BLD, choices[1])

    def coupled(self, x1: Tensor, x2: Tensor, choices: Sequence[Choices]) -> tuple[Tensor, Tensor]:
        """Compute the reversible layer, a pair of streams from a pair of streams (eq. 9)."""
        y1 = x1 + self.attention(x2, choices[0])
        return y1, x2 + self.feed_forward(y1, choices[1])

    def inverse(self, y1: Tensor, y2: Tensor, choices: Sequence[Choices]) -> tuple[Tensor, Tensor]:
        """Rebuild the input streams from the output streams (eq. 10)."""
        x2 = y2 - self.feed_forward(y1, choices[1])
        return y1 - self.attention(x2, choices[0]), x2


@dataclass(slots=True)
class _Tape:
    """Hold the one pair of streams that is kept: the outputs of layer `depth`."""

    depth: int = 0
    streams: tuple[Tensor, Tensor] | None = None
    versions: tuple[int, int] = (0, 0)

    def keep(self, depth: int, y1: Tensor, y2: Tensor) -> None:
        self.depth, self.streams = depth, (y1.detach(), y2.detach())
        self.versions = y1._version, y2._version

    def take(self, depth: int) -> tuple[Tensor, Tensor]:
        streams, self.streams = self.streams, None
        if streams is None or self.depth != depth:
            raise RuntimeError(
                "reversible layers rebuild their activations once; call backward once"
            )
        if (streams[0]._version, streams[1]._version) != self.versions:
            raise RuntimeError(
                "the output of reversible layers was modified in place, but their backward pass "
                "starts from it; use an operation that is not in place"
            )
        return streams


@dataclass(frozen=True, slots=True)
class _Call:
    attention: Recording
    feed_forward: Recording
    choices: Sequence[Choices]
    depth: int
    tape: _Tape


class _ReversibleLayer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x1: Tensor, x2: Tensor, call: _Call, *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        streams = x1, x2
        for n, branch in enumerate((call.attention, call.feed_forward)):
            with branch.watched():
                out = branch.module(streams[1], call.choices[n])
            streams = streams[1], streams[0] + out
            branch.note(out)
        y1, y2 = streams
        ctx.call = call
        ctx.save_for_backward(*call.attention.tensors, *call.feed_forward.tensors)
        call.tape.keep(call.depth, y1, y2)
        return y1, y2

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        call: _Call = ctx.call
        n_attention = len(call.attention.tensors)
        tensors, needs = ctx.saved_tensors, ctx.needs_input_grad[3:]
        dy1, dy2 = grads
        y1, y2 = call.tape.take(call.depth)
        with call.feed_forward.again(tensors[n_attention:], needs[n_attention:]):
            module: Any = call.feed_forward.module
            # a module of the user's own in its place need not know how to do both at once
            both = getattr(module, "forward_and_gradients", None) or partial(
                Branch.forward_and_gradients, module
            )
            out, grad, feed_forward_grads = both(y1, call.choices[1], dy2)
        call.feed_forward.require_same(out)
        x2 = y2 - out
        dx1 = dy1 + grad
        del y2, out, grad
        with call.attention.again(tensors[:n_attention], needs[:n_attention]):
            out, backward = replay(call.attention.module, x2, call.choices[0])
            call.attention.require_same(out)
            x1 = y1 - out
            del y1, out  # two streams less beside the attention's activations
            grad, attention_grads = backward(dx1)
        call.tape.keep(call.depth - 1, x1, x2)
        parts = (call.attention, attention_grads), (call.feed_forward, feed_forward_grads)
        of_tensors = [g for recording, found in parts for g in recording.padded(found)]
        return dx1, dy2 + grad, None, *of_tensors


def run_reversible(
    layers: Sequence[Layer], x1: Tensor, x2: Tensor, choices: Sequence[Sequence[Choices]]
) -> tuple[Tensor, Tensor]:
    """Run all reversible layers and store the activations of none; (batch, length, d_model).

    The backward pass can run once, and gives the gradients of the forward pass whatever mode, hooks
    or attributes the layers have by then; it is differentiable once. Raises RuntimeError if it runs
    a second time, if a weight was changed in place in between, and, for what only a whole layer
    does, if one has hooks of its own: they belong on its branches.
    """
    for depth, layer in enumerate(layers):
        refuse_hooks(layer, depth)
    if not torch.is_grad_enabled():
        for layer, choice in zip(layers, choices, strict=True):
            x1, x2 = layer.coupled(x1, x2, choice)
        return x1, x2
    tape = _Tape()
    for depth, (layer, choice) in enumerate(zip(layers, choices, strict=True)):
        recordings = Recording(layer.attention, x1), Recording(layer.feed_forward, x1)
        call = _Call(*recordings, choice, depth, tape)
        tensors = [tensor for recording in recordings for tensor in recording.tensors]
        x1, x2 = _ReversibleLayer.apply(x1, x2, call, *tensors)
    return x1, x2


def refuse_hooks(layer: Layer, depth: int) -> None:
    """Raise RuntimeError if a reversible layer itself has hooks or another forward."""
    if is_called_plainly(layer, Layer):
        return
    raise RuntimeError(
        f"layer {depth} has hooks or a forward of its own, which reversible layers cannot invert "
        "(FSDP2's sharding of single layers is one): put them on its attention or feed_forward, "
        "or build the model with reversible=False"
    )
