"""LSH attention is also operators of PyTorch, which a graph of torch.compile holds.

No graph records what a generator of the library draws. So the graph draws a seed itself, by an
operator of PyTorch, and the hash follows from it: what is computed again in the backward pass is
the same. Both passes take the order that was sorted. A fake tensor gives a fake result.

Shapes: B batch, H heads, L length, W head width, R rounds, N buckets.
"""

import ast
from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache
from operator import index
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from reformer import kernels
from reformer.autocast import without_autocast
from reformer.config import LSHConfig
from reformer.gradients import SECOND_DERIVATIVE
from reformer.inputs import require_pair
from reformer.kernels.by_hand import Passes
from reformer.precision import sum_dtype
from reformer.rounds import hash_and_sort
from reformer.sorting import SortedRounds, cut_rounds

# Kernels whose passes are written by hand: a graph can hold both.
IN_GRAPHS = ("auto", "blocked", "compiled", "native", "triton")
SETTINGS = tuple(f.name for f in fields(LSHConfig))


def attend_in_graph(qk: Tensor, v: Tensor, config: LSHConfig, kernel: str) -> Tensor:
    """Attend as lsh_attention does, (batch, heads, length, width), in operators alone."""
    words = ",".join([_word(getattr(config, name)) for name in SETTINGS])
    seed = torch.randint(2**62, (), device="cpu")
    order_BHRL, ends_BHRN = torch.ops.reformer.hash_and_sort(qk.detach(), seed, words, kernel)
    out: Tensor = torch.ops.reformer.attend(qk, v, order_BHRL, ends_BHRN, words, kernel)[0]
    return out


def _word(setting: object) -> str:
    """Return a setting as Python writes it.

    torch.compile holds a number open once it has seen two; these functions make it a constant.
    """
    if type(setting) is int:
        return repr(index(setting))
    return repr(float.fromhex(setting.hex()) if type(setting) is float else setting)


@lru_cache
def config_of(words: str) -> LSHConfig:
    """Return the config whose settings these are, in the order of SETTINGS."""
    return LSHConfig(**dict(zip(SETTINGS, ast.literal_eval(f"({words})"), strict=True)))


def _hash_and_sort(qk: Tensor, seed: Tensor, config: str, kernel: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(int(seed))
    rounds = hash_and_sort(qk, config_of(config), generator=generator, kernel=kernel)
    return rounds.order_BHRL.contiguous(), rounds.ends_BHRN.contiguous()


def _fake_hash_and_sort(
    qk: Tensor, seed: Tensor, config: str, kernel: str
) -> tuple[Tensor, Tensor]:
    lsh = config_of(config)
    B, H, L, _ = map(int, qk.shape)
    lsh.require_length(L)
    sizes = (B, H, lsh.n_rounds, L), (B, H, lsh.n_rounds, lsh.n_buckets(L))
    order_BHRL, ends_BHRN = (qk.new_empty(size, dtype=torch.int32) for size in sizes)
    return order_BHRL, ends_BHRN


def _attend(
    qk: Tensor, v: Tensor, order: Tensor, ends: Tensor, config: str, kernel: str
) -> tuple[Tensor, Tensor]:
    _refuse_forward_mode()
    if qk.numel() == 0:
        return _fake_attend(qk, v, order, ends, config, kernel)
    with without_autocast(qk):
        out, z, *_ = _passes(kernel, qk).forward(qk, v, *_cut(order, ends, config))
    return out.to(v.dtype).contiguous(), z.contiguous()


def _fake_attend(
    qk: Tensor, v: Tensor, order: Tensor, ends: Tensor, config: str, kernel: str
) -> tuple[Tensor, Tensor]:
    _refuse_forward_mode()
    require_pair(qk, v, config_of(config))
    return v.new_empty(v.shape), v.new_empty(v.shape[:3], dtype=sum_dtype(v))


def _refuse_forward_mode() -> None:
    """Raise RuntimeError where tangents are computed, of which an operator sees nothing."""
    if forward_ad._current_level >= 0:
        raise RuntimeError(
            "lsh_attention has no derivative in forward mode (torch.func.jvp, forward_ad): take "
            "gradients with torch.autograd"
        )


def _attend_backward(
    grad_out: Tensor,
    qk: Tensor,
    v: Tensor,
    out: Tensor,
    z: Tensor,
    order: Tensor,
    ends: Tensor,
    *words: str,
) -> tuple[Tensor, Tensor]:
    if qk.numel() == 0:
        return torch.empty_like(qk), torch.empty_like(v)
    config, kernel = words
    with without_autocast(qk):
        kept = (qk, v, out, z)
        dqk, dv = _passes(kernel, qk).backward(grad_out, kept, *_cut(order, ends, config))
    return dqk.contiguous(), dv.contiguous()


def _fake_attend_backward(grad_out: Tensor, qk: Tensor, v: Tensor, *_: Any) -> tuple[Any, ...]:
    return qk.new_empty(qk.shape), v.new_empty(v.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    qk, v, order, ends, *ctx.words = inputs
    ctx.save_for_backward(qk, v, *output, order, ends)


def _gradients(ctx: Any, grad_out: Tensor, _: Any) -> tuple[Any, ...]:
    found = torch.ops.reformer.attend_backward(grad_out, *ctx.saved_tensors, *ctx.words)
    return *found, None, None, None, None


def _refuse_second_derivative(ctx: Any, *grads: Tensor) -> None:
    raise RuntimeError(SECOND_DERIVATIVE.decode())


def _cut(order: Tensor, ends: Tensor, config: str) -> tuple[SortedRounds, LSHConfig]:
    lsh = config_of(config)
    return cut_rounds(order, ends, lsh, valid_length=order.shape[-1]), lsh


def _passes(kernel: str, like: Tensor) -> Passes:
    passes: Passes = kernels.module_for(kernel, like).passes()
    return passes


def _register(
    name: str, schema: str, compute: Callable[..., Any], describe: Callable[..., Any]
) -> None:
    """Make an operator of a function, and of one that makes empty results of the same shapes."""
    torch.library.define(f"reformer::{name}", schema)
    torch.library.impl(f"reformer::{name}", "default", compute)
    torch.library.register_fake(f"reformer::{name}", describe)


_register(
    "hash_and_sort",
    "(Tensor qk, Tensor seed, str config, str kernel) -> (Tensor, Tensor)",
    _hash_and_sort,
    _fake_hash_and_sort,
)
_register(
    "attend",
    "(Tensor qk, Tensor v, Tensor order, Tensor ends, str config, str kernel) -> (Tensor, Tensor)",
    _attend,
    _fake_attend,
)
_register(
    "attend_backward",
    "(Tensor grad_out, Tensor qk, Tensor v, Tensor out, Tensor z, Tensor order, Tensor ends, "
    "str config, str kernel) -> (Tensor, Tensor)",
    _attend_backward,
    _fake_attend_backward,
)
torch.library.register_autograd("reformer::attend", _gradients, setup_context=_keep)
torch.library.register_autograd("reformer::attend_backward", _refuse_second_derivative)
