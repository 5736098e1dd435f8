"""Attention whose backward pass is written by hand is one function of autograd around two passes.

Shapes: B batch, H heads, L length, W head width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from reformer.autocast import without_autocast
from reformer.config import LSHConfig
from reformer.gradients import differentiable_once
from reformer.sorting import SortedRounds


class Passes(NamedTuple):
    """Hold the two passes of a kernel.

    forward(qk, v, rounds, config) -> (out, z, ...): the output (B, H, L, W), which may be in more
    than v's precision, the log-normalisers (B, H, L), and what else the backward pass would have to
    compute again. backward(grad_out, kept, rounds, config) -> (dqk, dv), kept being (qk, v, out,
    z), with or without the rest behind it. They are called without autocast.
    """

    forward: Callable[..., tuple[Tensor, ...]]
    backward: Callable[..., tuple[Tensor, Tensor]]


def attend_by(
    passes: Passes, qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig
) -> Tensor:
    """Attend over sorted rounds, (batch, heads, length, width)."""
    out: Tensor = _Attend.apply(qk, v, rounds, config, passes)
    return out


def in_rows(x: Tensor) -> Tensor:
    """Copy x only if its rows are not contiguous; a model's (B, L, H, W) are."""
    x = x.resolve_neg()  # what is kept as its negative is not what lies in memory
    return x if x.stride(-1) == 1 else x.contiguous()


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig, passes: Passes
    ) -> Tensor:
        with without_autocast(qk):
            out, *rest = passes.forward(qk, v, rounds, config)
        ctx.save_for_backward(qk, v, out, *rest)
        ctx.rounds, ctx.config, ctx.backward_pass = rounds, config, passes.backward
        return out.to(v.dtype)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        with without_autocast(grads[0]):
            dqk, dv = ctx.backward_pass(grads[0], ctx.saved_tensors, ctx.rounds, ctx.config)
        return dqk, dv, None, None, None
