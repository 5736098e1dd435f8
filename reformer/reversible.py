"""Reversible residual layers store the last pair of streams and rebuild the others (section 3).

Y1 = X1 + Attention(X2), Y2 = X2 + FeedForward(Y1) (eq. 9). The backward pass rebuilds the streams
layer by layer. What a branch chose at random (its hash order, its dropout masks) is kept as
`Choices`, because hashing rebuilt activations again would flip buckets: an int32 order and a seed
replace a layer's activations.

Shapes: B batch, L length, D model width.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reformer.autocast import autocast_device
from reformer.sorting import SortedRounds

Gradients = tuple[Tensor | None, ...]
Backward = Callable[[Tensor], tuple[Tensor, Gradients]]


@dataclass(slots=True)
class Choices:
    """Keep all that a branch decides at random in a forward pass, so that it can be repeated."""

    seed: int
    rounds: SortedRounds | None = None  # the sorted hash, once LSH attention has drawn it

    def generator(self, device: torch.device | str = "cpu") -> torch.Generator:
        """Make a generator in the state in which this pass of the branch starts.

        There is none on meta, where nothing is drawn; it is the CPU's.
        """
        device = "cpu" if torch.device(device).type == "meta" else device
        return torch.Generator(device=device).manual_seed(self.seed)


class Branch(nn.Module):
    """Compute one branch of a residual layer, and exactly the same again with the same choices."""

    def forward(self, x_BLD: Tensor, choices: Choices) -> Tensor:
        """Compute the branch, from its own LayerNorm to its output, (batch, length, d_model)."""
        raise NotImplementedError

    def replay(self, x_BLD: Tensor, choices: Choices) -> tuple[Tensor, Backward]:
        """Compute the output, and make the function that differentiates the branch.

        The function takes the output's gradient and returns that of the input and those of the
        parameters. It can be called once; the output itself may be dropped before.
        """
        with torch.enable_grad():
            x_BLD = x_BLD.detach().requires_grad_()
            out = self(x_BLD, choices)
        edge, dtype = torch.autograd.graph.get_gradient_edge(out), out.dtype

        def backward(grad_out: Tensor) -> tuple[Tensor, Gradients]:
            inputs = (x_BLD, *self.parameters())
            # a branch need not use all of its parameters: attention by position has no keys
            grad_x, *grads = torch.autograd.grad(
                edge, inputs, grad_out.to(dtype), allow_unused=True
            )
            return torch.zeros_like(x_BLD) if grad_x is None else grad_x, tuple(grads)

        return out.detach(), backward

    def forward_and_gradients(
        self, x_BLD: Tensor, choices: Choices, grad_out: Tensor
    ) -> tuple[Tensor, Tensor, Gradients]:
        """Compute the output, and the gradients of the input and of each parameter.

        One branch's activations are alive meanwhile.
        """
        out, backward = self.replay(x_BLD, choices)
        return out, *backward(grad_out)


def dropout(x: Tensor, p: float, generator: torch.Generator | None) -> Tensor:
    """Set numbers to 0 with probability `p`, drawn from a generator on the device of x.

    What is left is divided by 1 - p. Without a generator x comes back as it is.
    """
    if p == 0 or generator is None:
        return x
    keep = torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - p, generator=generator)
    return x * keep / (1 - p)


class Layer(nn.Module):
    """Join attention and feed-forward by residual connections, ordinary or reversible."""

    def __init__(self, attention: Branch, feed_forward: Branch) -> None:
        super().__init__()
        self.attention, self.feed_forward = attention, feed_forward

    def residual(self, x_BLD: Tensor, choices: Sequence[Choices]) -> Tensor:
        """Compute the ordinary Transformer layer, (batch, length, d_model)."""
        x_BLD = x_BLD + self.attention(x_BLD, choices[0])
        return x_BLD + self.feed_forward(x_BLD, choices[1])

    def forward(self, x1: Tensor, x2: Tensor, choices: Sequence[Choices]) -> tuple[Tensor, Tensor]:
        """Compute the reversible layer (eq. 9); x1, x2: (batch, length, d_model)."""
        y1 = x1 + self.attention(x2, choices[0])
        return y1, x2 + self.feed_forward(y1, choices[1])

    def inverse(self, y1: Tensor, y2: Tensor, choices: Sequence[Choices]) -> tuple[Tensor, Tensor]:
        """Rebuild the input streams from the output streams (section 3)."""
        x2 = y2 - self.feed_forward(y1, choices[1])
        return y1 - self.attention(x2, choices[0]), x2


@dataclass(slots=True)
class _Tape:
    """Keep the one pair of streams that is stored, the outputs of layer `depth`."""

    depth: int = 0
    streams: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    layer: Layer
    choices: Sequence[Choices]
    depth: int
    tape: _Tape
    device_type: str
    autocast: bool
    autocast_dtype: torch.dtype

    def precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device_type, dtype=self.autocast_dtype, enabled=self.autocast)


class _ReversibleLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x1: Tensor, x2: Tensor, call: _Call, *_: Tensor) -> tuple[Tensor, Tensor]:
        ctx.call = call
        y1, y2 = call.layer(x1, x2, call.choices)
        call.tape.depth, call.tape.streams = call.depth, (y1.detach(), y2.detach())
        return y1, y2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        call: _Call = ctx.call
        dy1, dy2 = grads
        if call.tape.streams is None or call.tape.depth != call.depth:
            raise RuntimeError(
                "reversible layers rebuild their activations once; call backward once"
            )
        y1, y2 = call.tape.streams
        call.tape.streams = None
        attention, feed_forward = call.layer.attention, call.layer.feed_forward
        with call.precision():
            out, grad, feed_forward_grads = feed_forward.forward_and_gradients(
                y1, call.choices[1], dy2
            )
            x2 = y2 - out
            dx1 = dy1 + grad
            del y2, out, grad
            out, backward = attention.replay(x2, call.choices[0])
            x1 = y1 - out
            del y1, out  # two streams less beside the attention's activations
            grad, attention_grads = backward(dx1)
        call.tape.depth, call.tape.streams = call.depth - 1, (x1, x2)
        return dx1, dy2 + grad, None, *attention_grads, *feed_forward_grads


def run_reversible(
    layers: Sequence[Layer], x1: Tensor, x2: Tensor, choices: Sequence[Sequence[Choices]]
) -> tuple[Tensor, Tensor]:
    """Run all reversible layers and store the activations of none of them.

    x1, x2 and what is returned: (batch, length, d_model). The backward pass can run once. Raises
    RuntimeError if it is run a second time.
    """
    if not torch.is_grad_enabled():
        for layer, choice in zip(layers, choices, strict=True):
            x1, x2 = layer(x1, x2, choice)
        return x1, x2
    tape, kind = _Tape(), autocast_device(x1)
    precision = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    for depth, (layer, choice) in enumerate(zip(layers, choices, strict=True)):
        call = _Call(layer, choice, depth, tape, kind, *precision)
        parameters = (*layer.attention.parameters(), *layer.feed_forward.parameters())
        x1, x2 = _ReversibleLayer.apply(x1, x2, call, *parameters)
    return x1, x2
