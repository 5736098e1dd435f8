"""The feed-forward layer is computed in pieces of the length, forward and backward (section 3).

Each piece is recomputed, differentiated and forgotten before the next, so that the d_ff wide
activations of one piece only are alive, in training too.

Shapes: B batch, L length, D model width.
"""

from typing import Any

import torch
from torch import Tensor, nn

from reformer.choices import Choices
from reformer.config import ModelConfig
from reformer.gradients import Gradients, added, differentiable_once, differentiate, pieces
from reformer.hooks import has_hooks_of_all_modules, is_called_plainly
from reformer.recording import Recording
from reformer.reversible import Branch, dropout


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
            return self._piece(x_BLD, self.mask_generator(x_BLD, choices))
        if torch.is_grad_enabled():
            recording = Recording(self, x_BLD)
            return _InPieces.apply(x_BLD, recording, choices, *recording.tensors)
        return self._all_pieces(x_BLD, choices)

    def forward_and_gradients(
        self, x_BLD: Tensor, choices: Choices, grad_out: Tensor
    ) -> tuple[Tensor, Tensor, Gradients]:
        """Compute the output and all gradients, a piece at a time; see Branch."""
        if not is_called_plainly(self, FeedForward) or has_hooks_of_all_modules():
            return super().forward_and_gradients(x_BLD, choices, grad_out)
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
        totals: list[Tensor | None] = [None] * len(parameters)
        generator = self.mask_generator(x_BLD, choices)
        tensors = (x_BLD, grad_out, grad_x, grad_x if out is None else out)
        for x, grad, grad_piece, out_piece in pieces(self.n_chunks, *tensors):
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                y = self._piece(x, generator)
            of_x, grads = differentiate(y, x, parameters, grad.to(y.dtype))
            if out is not None:
                out_piece.copy_(y.detach())
            grad_piece.copy_(of_x)
            totals = list(map(added, totals, grads))
            del y, of_x, grads  # or they live on beside those of the next piece
        return grad_x, tuple(totals)

    def _all_pieces(self, x_BLD: Tensor, choices: Choices) -> Tensor:
        generator = self.mask_generator(x_BLD, choices)
        out = torch.empty_like(x_BLD)
        for x, out_piece in pieces(self.n_chunks, x_BLD, out):
            out_piece.copy_(self._piece(x, generator))
        return out

    def _piece(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.narrow(dropout(self.widen(self.norm(x)).relu(), self.p, generator))


class _InPieces(torch.autograd.Function):
    """Differentiate the chunked layer where it stands outside reversible layers.

    It stores its input and recomputes the rest piece by piece.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, recording: Recording, choices: Choices, *tensors: Tensor
    ) -> Tensor:
        branch: Any = recording.module
        with recording.watched():
            out = branch._all_pieces(x, choices)
        recording.note(out)
        ctx.save_for_backward(x, *recording.tensors)
        ctx.recording, ctx.choices = recording, choices
        return out

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        x, *tensors = ctx.saved_tensors
        recording: Recording = ctx.recording
        branch: Any = recording.module
        with recording.again(tensors, ctx.needs_input_grad[3:]):
            out = None if recording.norm is None else torch.empty_like(x)
            grad_x, found = branch.gradients(x, ctx.choices, grads[0], out)
        if out is not None:
            recording.require_same(out)
        return grad_x, None, None, *recording.padded(found)
