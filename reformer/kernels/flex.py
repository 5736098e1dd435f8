"""This kernel runs PyTorch's FlexAttention over one sorted round after the other, made for CUDA.

PyTorch generates one fused kernel from the mask and from the correction of the logits, and returns
each round's log-normaliser z; rounds are merged by it (eq. 14). As in blocked.py a position itself
is masked, and takes its own value if nothing else is left. The backward pass keeps the output and z
and computes each round again, so that one round's copies are alive at a time.

On CUDA the tests marked `gpu` run it; no record holds a timing of it there.

On the CPU the same masks run eagerly, with logits for all pairs: for tests, at small sizes. There
FlexAttention refuses gradients at its front door (torch 2.13), though the operator behind has them.

Shapes: B batch, H heads, L length, W head width, R rounds; s marks the sorted order of one round.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import flex_attention as flex

from reformer.autocast import without_autocast
from reformer.checks import require
from reformer.config import LSHConfig
from reformer.eager import eagerly, require_in_memory
from reformer.gradients import differentiable_once
from reformer.kernels.torch_compile import compile_static, require_compiler
from reformer.precision import norms_of, sum_dtype
from reformer.sorting import SortedRounds, met

# Queries and keys in a block of the mask: a multiple of every tile that FlexAttention's kernels use
# (16 to 128 each way), whatever the chunk length; the mask within a block is exact.
BLOCK = 128
NARROWEST = 16  # of a matrix product in Triton


class Round(NamedTuple):
    """Hold one round as FlexAttention takes it."""

    order_BHL: Tensor
    blocks: Any  # a BlockMask: which blocks of sorted keys a block of sorted queries sees
    change_logit: Callable[..., Tensor]


def require_usable(like: Tensor) -> None:
    """Raise ValueError unless the kernel runs where `like` is."""
    kind = like.device.type
    require(kind in ("cpu", "cuda"), f'kernel "flex" runs on cuda or cpu, not {kind}; use "plain"')
    if kind == "cuda":
        require_compiler("flex", like)
    require_in_memory("flex", like)


@eagerly
def attend(qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig) -> Tensor:
    """Attend over sorted rounds, (batch, heads, length, width).

    Raises ValueError on CUDA for float64 and for a width below 16, for which it has no kernel.
    """
    require_usable(qk)
    if qk.device.type == "cuda":
        require(
            qk.dtype != torch.float64 and qk.shape[-1] >= NARROWEST,
            f'kernel "flex" on cuda takes float32, bfloat16 or float16 of width {NARROWEST} or '
            f'more, not {qk.dtype} of width {qk.shape[-1]}; use "blocked"',
        )
    with without_autocast(qk):
        k = (qk * (config.logit_scale / norms_of(qk))).to(qk.dtype)
        return _Attend.apply(qk, k, v, rounds, config)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig
    ) -> Tensor:
        out_BHLW = torch.zeros_like(v, dtype=sum_dtype(v))
        z_BHL = torch.full_like(out_BHLW[..., 0], -torch.inf)
        for this in _rounds(rounds, config):
            out_s, z_s = _attend_round(this, *(_take(x, this) for x in (q, k, v)))
            before = _take(z_BHL, this)
            after = torch.logaddexp(before, z_s)
            reference = after.masked_fill(after.isneginf(), 0)
            old, new = ((z - reference).exp().unsqueeze(-1) for z in (before, z_s))
            _put(out_BHLW, this, _take(out_BHLW, this) * old + out_s * new)
            _put(z_BHL, this, after)
        alone = z_BHL.isneginf().unsqueeze(-1)
        out = torch.where(alone, v, out_BHLW.to(v.dtype))
        ctx.save_for_backward(q, k, v, out, z_BHL)
        ctx.rounds, ctx.config = rounds, config
        return out

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        q, k, v, out, z_BHL = ctx.saved_tensors
        dout = grads[0].to(z_BHL.dtype)
        alone = z_BHL.isneginf()
        totals = [torch.zeros_like(x, dtype=z_BHL.dtype) for x in (q, k, v)]
        totals[2] += dout * alone.unsqueeze(-1)
        z_BHL = z_BHL.masked_fill(alone, torch.inf)
        with without_autocast(q):
            for this in _rounds(ctx.rounds, ctx.config):
                taken = [_take(x, this).requires_grad_() for x in (q, k, v)]
                with torch.enable_grad():
                    out_s, z_s = _attend_round(this, *taken)
                # out = sum of weight * out_s, and weight = exp(z_s - z)
                weight = (z_s.detach() - _take(z_BHL, this)).exp()
                dout_s = _take(dout, this) * weight.unsqueeze(-1)
                dz_s = (dout_s * (out_s.detach() - _take(out, this))).sum(dim=-1)
                of_round = torch.autograd.grad(
                    (out_s, z_s), taken, (dout_s.to(out_s.dtype), dz_s.to(z_s.dtype))
                )
                for total, grad in zip(totals, of_round, strict=True):
                    _put(total, this, _take(total, this) + grad)
        return *(total.to(x.dtype) for total, x in zip(totals, (q, k, v), strict=True)), None, None


def _attend_round(this: Round, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output and log-normaliser of one round, in its sorted order.

    A query without any key gets 0 and -inf.
    """
    if q.device.type == "cpu":
        call = torch.ops.higher_order.flex_attention
        out, z_base_2, *_ = call(q, k, v, this.change_logit, this.blocks.as_tuple(), 1.0, {})
        return out, z_base_2 * math.log(2)
    # return_lse is deprecated where AuxRequest exists
    new = hasattr(flex, "AuxRequest")
    asked = {"return_aux": flex.AuxRequest(lse=True)} if new else {"return_lse": True}
    run = compile_static(flex.flex_attention)
    out, z = run(q, k, v, this.change_logit, this.blocks, scale=1.0, **asked)
    return out, z.lse if new else z


def _rounds(rounds: SortedRounds, config: LSHConfig) -> Iterator[Round]:
    """Yield each round's order, mask and correction of the logits."""
    cells_BHRL = rounds.cells_BHRL()
    L = cells_BHRL.shape[-1]
    lists = block_lists(L, rounds.chunk_length, rounds.chunks_before, cells_BHRL.device)
    for r in range(config.n_rounds):
        order_BHL = rounds.order_BHRL[:, :, r]
        index_BHRL = order_BHL.long().unsqueeze(2).expand_as(cells_BHRL)
        is_key, change_logit = _rules(
            order_BHL, cells_BHRL.gather(-1, index_BHRL), r, rounds, config
        )
        blocks = flex.BlockMask(
            seq_lengths=(L, L), BLOCK_SIZE=(BLOCK, BLOCK), mask_mod=is_key, **lists
        )
        yield Round(order_BHL, blocks, change_logit)


def _rules(
    order_BHL: Tensor, cells_BHRL: Tensor, r: int, rounds: SortedRounds, config: LSHConfig
) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Make the mask of a round, and the correction of its logits, by place in its order."""
    n_rounds, causal = config.n_rounds, config.causal
    n_chunks, chunks_before = rounds.n_chunks, rounds.chunks_before
    valid_length = rounds.valid_length
    here_BHL = cells_BHRL[:, :, r].contiguous()

    def is_key(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        q, k = order_BHL[b, h, i], order_BHL[b, h, j]
        shown = k < q if causal else (k != q) & (k < valid_length)
        return shown & met(here_BHL[b, h, i], here_BHL[b, h, j], n_chunks, chunks_before)

    def change_logit(logit: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        cells = [(cells_BHRL[b, h, n, i], cells_BHRL[b, h, n, j]) for n in range(n_rounds)]
        n_met: Any = sum(met(q, k, n_chunks, chunks_before).int() for q, k in cells)
        return logit - n_met.clamp(min=1).to(logit.dtype).log()

    def as_it_is(logit: Tensor, *_: Tensor) -> Tensor:
        return logit

    return is_key, change_logit if config.corrects else as_it_is


@lru_cache(maxsize=16)
def block_lists(
    length: int, chunk_length: int, chunks_before: int, device: torch.device
) -> dict[str, Any]:
    """List for every block of queries the blocks that hold its keys, and the other way round.

    Lists as long as the longest, so linear in the length; BlockMask.from_kv_blocks would go through
    a table of all pairs of blocks, 8,192 x 8,192 at a million positions.
    """
    n_chunks, n_blocks = length // chunk_length, -(-length // BLOCK)
    seen: list[list[int]] = []
    seen_by: list[list[int]] = [[] for _ in range(n_blocks)]
    for first in range(0, length, BLOCK):
        last = min(first + BLOCK, length) - 1
        chunks = range(first // chunk_length - chunks_before, last // chunk_length + 1)
        starts = [chunk % n_chunks * chunk_length for chunk in chunks]
        spans = [range(at // BLOCK, (at + chunk_length - 1) // BLOCK + 1) for at in starts]
        seen.append(sorted({block for span in spans for block in span}))
        for block in seen[-1]:
            seen_by[block].append(first // BLOCK)
    # they outlive the call, and autograd takes no tensor that was made in inference mode
    with torch.inference_mode(False):
        return {**_padded("kv", seen, device), **_padded("q", seen_by, device)}


def _padded(name: str, lists: list[list[int]], device: torch.device) -> dict[str, Any]:
    """Make arguments of BlockMask; in no block does every query see every key ("full")."""
    longest = max(len(blocks) for blocks in lists)
    made = {
        f"{name}_num_blocks": [len(blocks) for blocks in lists],
        f"{name}_indices": [blocks + [0] * (longest - len(blocks)) for blocks in lists],
    }
    tensors = {
        key: torch.tensor([[numbers]], dtype=torch.int32, device=device)
        for key, numbers in made.items()
    }
    return {**tensors, **dict.fromkeys(f"full_{key}" for key in made)}


def _index(x: Tensor, this: Round) -> Tensor:
    index = this.order_BHL.long()
    return index if x.dim() == 3 else index.unsqueeze(-1).expand_as(x)


def _take(x: Tensor, this: Round) -> Tensor:
    """Bring rows from their positions into the order of a round."""
    return x.gather(2, _index(x, this))


def _put(x: Tensor, this: Round, x_s: Tensor) -> None:
    """Bring rows in the order of a round back to their positions, in place."""
    x.scatter_(2, _index(x, this), x_s.to(x.dtype))
