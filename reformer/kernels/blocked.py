"""Blocks of chunks small enough for the cache, rounds merged as they come, backward derived by
hand.

Over all rounds and keys together attention is one softmax, with z its log-normaliser: p = exp(logit
- z) and out = sum p v. So the backward pass needs only z and out, and recomputes the logits of each
block: dlogit = p (dout . v - dout . out). The position itself is masked here, not penalised: under
the paper's penalty of 1e5 its weight underflows to exactly 0 unless it is alone, and then the
output is its own value.

Shapes: S = B * H sequences, L length, W head width, R rounds, C chunks, X chunks in a block, M
chunk length, K keys a chunk sees.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from reformer.config import LSHConfig
from reformer.sorting import SortedRounds, look_back, met

# Logits in a block: 2^19 floats are 2 MiB, so that what passes over them finds them in cache.
BLOCK_LOGITS = 2**19
MIN_NORM = 1e-12


class Block(NamedTuple):
    """Some chunks of one round: rows of their queries and keys in the (S * L, W) matrices, and the
    mask.
    """

    q_rows_XM: Tensor
    k_rows_XK: Tensor
    bias_XMK: Tensor  # -log N_ij, or -inf where the key is not attended to


def attend(qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig) -> Tensor:
    """Attention over sorted rounds, (batch, heads, length, width)."""
    return _Attend.apply(qk, v, rounds, config)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig) -> Tensor:
        out_BHLW, z_Y = _forward(qk, v, rounds, config)
        ctx.save_for_backward(qk, v, out_BHLW, z_Y)
        ctx.rounds, ctx.config = rounds, config
        return out_BHLW

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        qk, v, out, z = ctx.saved_tensors
        dqk, dv = _backward(grads[0], qk, v, out, z, ctx.rounds, ctx.config)
        return dqk, dv, None, None


def _forward(
    qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig
) -> tuple[Tensor, Tensor]:
    q_YW, v_YW = qk.reshape(-1, qk.shape[-1]), v.reshape(-1, v.shape[-1])
    k_YW = q_YW * (config.logit_scale / _norms(q_YW))
    statistics = torch.promote_types(qk.dtype, torch.float32)
    out_YW = torch.zeros_like(v_YW, dtype=statistics)
    z_Y = torch.full_like(out_YW[:, 0], -torch.inf)
    for block in _blocks(rounds, config, statistics):
        logits = _logits(q_YW, k_YW, block, statistics)
        z_XM = logits.logsumexp(dim=-1)
        before = z_Y[block.q_rows_XM]
        after = torch.logaddexp(before, z_XM)
        reference = after.masked_fill(after.isneginf(), 0)
        weights = logits.sub_(reference.unsqueeze(-1)).exp_().to(v.dtype)
        out_XMW = (weights @ v_YW[block.k_rows_XK]).to(statistics)
        out_XMW += out_YW[block.q_rows_XM] * (before - reference).exp_().unsqueeze(-1)
        z_Y[block.q_rows_XM] = after
        out_YW[block.q_rows_XM] = out_XMW
    alone = z_Y.isneginf().unsqueeze(-1)
    out_YW = torch.where(alone, v_YW, out_YW.to(v.dtype))
    return out_YW.view(v.shape), z_Y


def _backward(
    grad_out: Tensor,
    qk: Tensor,
    v: Tensor,
    out: Tensor,
    z_Y: Tensor,
    rounds: SortedRounds,
    config: LSHConfig,
) -> tuple[Tensor, Tensor]:
    W = qk.shape[-1]
    q_YW, v_YW, dout_YW, out_YW = (x.reshape(-1, W) for x in (qk, v, grad_out, out))
    norms_Y1 = _norms(q_YW)
    k_YW = q_YW * (config.logit_scale / norms_Y1)
    statistics = z_Y.dtype
    alone = z_Y.isneginf()
    z_Y = z_Y.masked_fill(alone, torch.inf)
    dq_YW, dk_YW = (torch.zeros_like(q_YW, dtype=statistics) for _ in range(2))
    dv_YW = dout_YW.to(statistics) * alone.unsqueeze(-1)
    delta_Y = (dout_YW.to(statistics) * out_YW).sum(dim=-1)
    for block in _blocks(rounds, config, statistics):
        p = _logits(q_YW, k_YW, block, statistics).sub_(z_Y[block.q_rows_XM].unsqueeze(-1)).exp_()
        dout_XMW = dout_YW[block.q_rows_XM]
        k_rows = block.k_rows_XK.flatten()
        p_half = p.to(v.dtype)
        dv_YW.index_add_(0, k_rows, _sum_over_queries(p_half, dout_XMW, statistics))
        dp = (dout_XMW @ v_YW[block.k_rows_XK].transpose(-1, -2)).to(statistics)
        dlogits = dp.sub_(delta_Y[block.q_rows_XM].unsqueeze(-1)).mul_(p).to(qk.dtype)
        dq_YW[block.q_rows_XM] += dlogits @ k_YW[block.k_rows_XK]
        dk_YW.index_add_(0, k_rows, _sum_over_queries(dlogits, q_YW[block.q_rows_XM], statistics))
    unit_YW = q_YW.to(statistics) / norms_Y1
    dk_YW -= unit_YW * (unit_YW * dk_YW).sum(dim=-1, keepdim=True)
    dq_YW += dk_YW * (config.logit_scale / norms_Y1)
    return dq_YW.to(qk.dtype).view(qk.shape), dv_YW.to(v.dtype).view(v.shape)


def _norms(q_YW: Tensor) -> Tensor:
    return q_YW.norm(dim=-1, keepdim=True).clamp_(min=MIN_NORM)


def _logits(q_YW: Tensor, k_YW: Tensor, block: Block, dtype: torch.dtype) -> Tensor:
    products = q_YW[block.q_rows_XM] @ k_YW[block.k_rows_XK].transpose(-1, -2)
    return products.to(dtype).add_(block.bias_XMK)


def _sum_over_queries(weights_XMK: Tensor, rows_XMW: Tensor, dtype: torch.dtype) -> Tensor:
    return (weights_XMK.transpose(-1, -2) @ rows_XMW).to(dtype).flatten(0, 1)


def _blocks(rounds: SortedRounds, config: LSHConfig, dtype: torch.dtype) -> Iterator[Block]:
    """All chunks of all rounds, some at a time; within a block no query stands twice."""
    B, H, R, L = rounds.order_BHRL.shape
    order_SRL = rounds.order_BHRL.view(B * H, R, L)
    first_row_S11 = torch.arange(0, B * H * L, L, device=order_SRL.device).view(-1, 1, 1)
    needs_cells = config.within_bucket or (config.correct_duplicates and R > 1)
    cells_YR = rounds.cells_BHRL().transpose(-1, -2).reshape(-1, R) if needs_cells else None
    M = rounds.chunk_length
    n_keys = M * (rounds.chunks_before + 1)
    per_block = max(1, BLOCK_LOGITS // (M * n_keys))
    for r in range(R):
        rows_SCM = order_SRL[:, r].view(B * H, rounds.n_chunks, M) + first_row_S11
        q_rows = rows_SCM.flatten(0, 1)
        k_rows = look_back(rows_SCM, rounds.chunks_before, dim=1).flatten(0, 1)
        for start in range(0, len(q_rows), per_block):
            q_rows_XM, k_rows_XK = (
                q_rows[start : start + per_block],
                k_rows[start : start + per_block],
            )
            bias = _bias(q_rows_XM, k_rows_XK, cells_YR, r, rounds, config).to(dtype)
            yield Block(q_rows_XM, k_rows_XK, bias)


def _bias(
    q_rows_XM: Tensor,
    k_rows_XK: Tensor,
    cells_YR: Tensor | None,
    r: int,
    rounds: SortedRounds,
    config: LSHConfig,
) -> Tensor:
    qs, ks = q_rows_XM.unsqueeze(-1), k_rows_XK.unsqueeze(-2)
    hidden = ks >= qs if config.causal else ks == qs
    if not config.causal and rounds.valid_length < rounds.order_BHRL.shape[-1]:
        hidden |= ks % rounds.order_BHRL.shape[-1] >= rounds.valid_length
    bias = torch.zeros(hidden.shape, device=hidden.device)
    if cells_YR is not None:
        cells_q, cells_k = cells_YR[q_rows_XM].unsqueeze(-2), cells_YR[k_rows_XK].unsqueeze(-3)
        span = rounds.n_chunks, rounds.chunks_before
        if config.within_bucket:
            hidden |= ~met(cells_q[..., r], cells_k[..., r], *span)
        if config.correct_duplicates and config.n_rounds > 1:
            n_met = torch.zeros_like(hidden, dtype=torch.int32)
            for i in range(config.n_rounds):
                n_met += met(cells_q[..., i], cells_k[..., i], *span)
            bias = -n_met.clamp(min=1).to(torch.float64).log()
    return bias.masked_fill_(hidden, -torch.inf)
