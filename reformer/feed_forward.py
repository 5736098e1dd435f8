"""The feed-forward layer is computed in pieces of the length, forward and backward (section 3).

Each piece is recomputed, differentiated and forgotten before the next, so that the d_ff wide
activations of one piece only are alive, in training too.

Shapes: B batch, L length, D model width.
"""

from typing import Any

import torch
from torch import Tensor, nn

from reformer.autocast import autocast_device
from reformer.config import ModelConfig
from reformer.reversible import Branch, Choices, Gradients, dropout


class FeedForward(Branch):
    """Widen LayerNorm's output from d_model to d_ff, apply ReLU, and narrow it again, in pieces.

    `ff_chunks` of the config is the number of pieces of the length.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.d_model)
        self.widen = nn.Linear(config.d_model, config.d_ff)
        self.narrow = nn.Linear(config.d_ff, config.d_model)
        self.n_chunks, self.p = config.ff_chunks, config.dropout

    def forward(self, x_BLD: Tensor, choices: Choices) -> Tensor:
        """Compute the branch (batch, length, d_model), a piece at a time; see Branch."""
        if self.n_chunks == 1:
            return self._piece(x_BLD, self._generator(x_BLD, choices))
        if torch.is_grad_enabled():
            return _InPieces.apply(x_BLD, self, choices, *self.parameters())
        return self._all_pieces(x_BLD, choices)

    def forward_and_gradients(
        self, x_BLD: Tensor, choices: Choices, grad_out: Tensor
    ) -> tuple[Tensor, Tensor, Gradients]:
        """Compute the output and all gradients, a piece at a time; see Branch."""
        out = torch.empty_like(x_BLD)
        return out, *self.gradients(x_BLD, choices, grad_out, out)

    def gradients(
        self, x_BLD: Tensor, choices: Choices, grad_out: Tensor, out: Tensor | None = None
    ) -> tuple[Tensor, Gradients]:
        """Compute the gradients of the input and of each parameter, a piece at a time.

        grad_out: the gradient of the output, (batch, length, d_model). The output itself, which is
        computed on the way, is written to `out` if it is given.
        """
        parameters = tuple(self.parameters())
        grad_x = torch.empty_like(x_BLD)
        totals = [torch.zeros_like(p) for p in parameters]
        generator = self._generator(x_BLD, choices)
        tensors = (x_BLD, grad_out, grad_x, grad_x if out is None else out)
        pieces = zip(*(t.chunk(self.n_chunks, dim=1) for t in tensors), strict=True)
        for x, grad, grad_piece, out_piece in pieces:
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                y = self._piece(x, generator)
                grads = torch.autograd.grad(y, (x, *parameters), grad.to(y.dtype))
            if out is not None:
                out_piece.copy_(y.detach())
            grad_piece.copy_(grads[0])
            for total, g in zip(totals, grads[1:], strict=True):
                total += g
            del y, grads  # or they live on beside those of the next piece
        return grad_x, tuple(totals)

    def _all_pieces(self, x_BLD: Tensor, choices: Choices) -> Tensor:
        generator = self._generator(x_BLD, choices)
        out = torch.empty_like(x_BLD)
        pieces = zip(*(t.chunk(self.n_chunks, dim=1) for t in (x_BLD, out)), strict=True)
        for x, out_piece in pieces:
            out_piece.copy_(self._piece(x, generator))
        return out

    def _piece(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.narrow(dropout(self.widen(self.norm(x)).relu(), self.p, generator))

    def _generator(self, x: Tensor, choices: Choices) -> torch.Generator | None:
        return choices.generator(x.device) if self.training and self.p > 0 else None


class _InPieces(torch.autograd.Function):
    """Differentiate the chunked layer where it stands outside reversible layers.

    It stores its input and recomputes the rest piece by piece.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, branch: FeedForward, choices: Choices, *_: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.branch, ctx.choices = branch, choices
        kind = autocast_device(x)
        ctx.autocast = kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
        return branch._all_pieces(x, choices)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        (x,) = ctx.saved_tensors
        with torch.autocast(*ctx.autocast):
            grad_x, parameter_grads = ctx.branch.gradients(x, ctx.choices, grads[0])
        return grad_x, None, None, *parameter_grads
