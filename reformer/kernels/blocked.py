"""This kernel computes blocks of chunks that fit the cache, and its backward is derived by hand.

Rounds are merged as they come. Over all rounds and keys together attention is one softmax, with z
its log-normaliser: p = exp(logit - z) and out = sum p v. So the backward pass needs only z and out,
and recomputes the logits of each block: dlogit = p (dout . v - dout . out). The position itself is
masked here, not penalised: under the paper's penalty of 1e5 its weight underflows to exactly 0
unless it is alone (or |q| logit_scale is 5e4 or more), and then the output is its own value.

Products are of the inputs' dtype, whatever autocast says; norms, z and sums are float32 at least.

Shapes: S = B * H sequences, L length, W head width, R rounds, C chunks, X chunks in a block, M
chunk length, K keys a chunk sees, Y = S * L rows.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from reformer.config import LSHConfig
from reformer.eager import eagerly
from reformer.kernels.by_hand import Passes, attend_by
from reformer.precision import norms_of, sum_dtype
from reformer.sorting import SortedRounds, look_back, met

# Logits in a block: 2^19 floats are 2 MiB, so that what passes over them finds them in cache.
BLOCK_LOGITS = 2**19
# On a GPU a block must outlast the launch of the next one's kernels, each some 5 us: 2^23 floats,
# passed over at 2 TB/s, take 16 us. Not measured.
BLOCK_LOGITS_GPU = 2**23


class Mask(NamedTuple):
    """Hold what the mask of a block and the correction of its logits are made of."""

    q_rows_XM: Tensor
    k_rows_XK: Tensor
    padding_XK: Tensor | None
    here: tuple[Tensor, Tensor] | None  # cells in this round, (X, M) and (X, K)
    cells: tuple[Tensor, Tensor] | None  # cells in every round, (R, X, M) and (R, X, K)
    n_chunks: Any  # a tensor, not a number, for which compiled code would be made again
    chunks_before: int
    causal: bool


class Block(NamedTuple):
    """Name some chunks of one round, their queries and keys by the rows of the (Y, W) matrices."""

    q_rows_XM: Tensor
    k_rows_XK: Tensor
    mask: Mask
    is_full: bool  # as many chunks as a block has; the last one of a round can have less


class Steps(NamedTuple):
    """Name the work on one full block: forward_block and backward_block, or twins of them."""

    forward: Callable[..., tuple[Tensor, Tensor]]
    backward: Callable[..., tuple[Tensor, Tensor, Tensor]]


@eagerly
def attend(qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig) -> Tensor:
    """Attend over sorted rounds, (batch, heads, length, width)."""
    return attend_by(passes(), qk, v, rounds, config)


def passes(steps: Steps | None = None) -> Passes:
    """Return the two passes, with other steps on full blocks if some are given."""
    forward, backward = steps or (forward_block, backward_block)
    return Passes(partial(_forward, forward), partial(_backward, backward))


def _forward(
    step: Callable[..., Any], qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig
) -> tuple[Tensor, Tensor]:
    q_YW, v_YW = qk.reshape(-1, qk.shape[-1]), v.reshape(-1, v.shape[-1])
    k_YW = _keys(q_YW, norms_of(q_YW), config)
    out_YW = torch.zeros_like(v_YW, dtype=sum_dtype(v))
    z_Y = torch.full_like(out_YW[:, 0], -torch.inf)
    for q_rows, k_rows, mask, is_full in _blocks(rounds, config):
        run = step if is_full else forward_block
        products = q_YW[q_rows], k_YW[k_rows], v_YW[k_rows]
        z_Y[q_rows], out_YW[q_rows] = run(*products, z_Y[q_rows], out_YW[q_rows], mask)
    alone = z_Y.isneginf().unsqueeze(-1)
    out_YW = torch.where(alone, v_YW, out_YW.to(v.dtype))
    return out_YW.view(v.shape), z_Y.view(v.shape[:3])


def forward_block(
    q_XMW: Tensor, k_XKW: Tensor, v_XKW: Tensor, z_XM: Tensor, out_XMW: Tensor, mask: Mask
) -> tuple[Tensor, Tensor]:
    """Merge the keys of a block into z and the output of its queries, and return both.

    z (X, M) and output (X, M, W) hold the rounds before; z is -inf before the first key.
    """
    logits = _logits(q_XMW, k_XKW, mask)
    after = torch.logaddexp(z_XM, logits.logsumexp(dim=-1))
    reference = after.masked_fill(after.isneginf(), 0)
    weights = logits.sub_(reference.unsqueeze(-1)).exp_().to(v_XKW.dtype)
    before = out_XMW * (z_XM - reference).exp().unsqueeze(-1)
    return after, before.add_((weights @ v_XKW).to(before.dtype))


@eagerly
def _backward(
    step: Callable[..., Any],
    grad_out: Tensor,
    kept: tuple[Tensor, ...],
    rounds: SortedRounds,
    config: LSHConfig,
) -> tuple[Tensor, Tensor]:
    qk, v, out, z_BHL = kept
    z_Y = z_BHL.flatten()
    q_YW, v_YW, dout_YW, out_YW = (x.reshape(-1, x.shape[-1]) for x in (qk, v, grad_out, out))
    norms_Y1 = norms_of(q_YW)
    k_YW = _keys(q_YW, norms_Y1, config)
    alone = z_Y.isneginf()
    z_Y = z_Y.masked_fill(alone, torch.inf)
    dq_YW, dk_YW = (torch.zeros_like(q_YW, dtype=z_Y.dtype) for _ in range(2))
    dv_YW = dout_YW.to(z_Y.dtype) * alone.unsqueeze(-1)
    delta_Y = (dout_YW.to(z_Y.dtype) * out_YW).sum(dim=-1)
    M = rounds.chunk_length
    for q_rows, k_rows, mask, is_full in _blocks(rounds, config):
        run = step if is_full else backward_block
        products = q_YW[q_rows], k_YW[k_rows], v_YW[k_rows], dout_YW[q_rows]
        dq, dk, dv = run(*products, z_Y[q_rows], delta_Y[q_rows], mask)
        dq_YW[q_rows] += dq
        # the chunks of one look-back share no row, so that no sum needs atomics
        for some in (slice(i, i + M) for i in range(0, k_rows.shape[1], M)):
            dk_YW[k_rows[:, some]] += dk[:, some]
            dv_YW[k_rows[:, some]] += dv[:, some]
    unit_YW = q_YW.to(z_Y.dtype) / norms_Y1
    dk_YW -= unit_YW * (unit_YW * dk_YW).sum(dim=-1, keepdim=True)
    dq_YW += dk_YW * (config.logit_scale / norms_Y1)
    return dq_YW.to(qk.dtype).view(qk.shape), dv_YW.to(v.dtype).view(v.shape)


def backward_block(
    q_XMW: Tensor,
    k_XKW: Tensor,
    v_XKW: Tensor,
    dout_XMW: Tensor,
    z_XM: Tensor,
    delta_XM: Tensor,
    mask: Mask,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of a block's queries, keys and values."""
    p_XMK = _logits(q_XMW, k_XKW, mask).sub_(z_XM.unsqueeze(-1)).exp_()
    dv_XKW = p_XMK.to(v_XKW.dtype).transpose(-1, -2) @ dout_XMW
    dp_XMK = (dout_XMW @ v_XKW.transpose(-1, -2)).to(p_XMK.dtype)
    dlogits = dp_XMK.sub_(delta_XM.unsqueeze(-1)).mul_(p_XMK).to(q_XMW.dtype)
    products = dlogits @ k_XKW, dlogits.transpose(-1, -2) @ q_XMW, dv_XKW
    dq_XMW, dk_XKW, dv_XKW = (x.to(z_XM.dtype) for x in products)
    return dq_XMW, dk_XKW, dv_XKW


def _keys(q_YW: Tensor, norms_Y1: Tensor, config: LSHConfig) -> Tensor:
    return (q_YW * (config.logit_scale / norms_Y1)).to(q_YW.dtype)


def _logits(q_XMW: Tensor, k_XKW: Tensor, mask: Mask) -> Tensor:
    """Compute the logits (X, M, K), minus log N_ij, and -inf where a key is masked."""
    logits = (q_XMW @ k_XKW.transpose(-1, -2)).to(sum_dtype(q_XMW))
    qs, ks = mask.q_rows_XM.unsqueeze(-1), mask.k_rows_XK.unsqueeze(-2)
    span = mask.n_chunks, mask.chunks_before
    hidden = ks >= qs if mask.causal else ks == qs
    if mask.padding_XK is not None:
        hidden |= mask.padding_XK.unsqueeze(-2)
    if mask.here is not None:
        hidden |= ~met(mask.here[0].unsqueeze(-1), mask.here[1].unsqueeze(-2), *span)
    if mask.cells is not None:
        n_met = torch.zeros_like(hidden, dtype=torch.int32)
        for q_XM, k_XK in zip(*mask.cells, strict=True):
            n_met += met(q_XM.unsqueeze(-1), k_XK.unsqueeze(-2), *span)
        logits -= n_met.clamp_(min=1).to(logits.dtype).log_()
    return logits.masked_fill_(hidden, -torch.inf)


def _blocks(rounds: SortedRounds, config: LSHConfig) -> Iterator[Block]:
    """Yield all chunks of all rounds, some at a time; within a block no query stands twice."""
    B, H, R, L = rounds.order_BHRL.shape
    M, device = rounds.chunk_length, rounds.order_BHRL.device
    needs_cells = config.within_bucket or config.corrects
    cells_RY = rounds.cells_BHRL().permute(2, 0, 1, 3).reshape(R, -1) if needs_cells else None
    first_row_S11 = torch.arange(0, B * H * L, L, device=device).view(-1, 1, 1)
    limit = BLOCK_LOGITS if device.type == "cpu" else BLOCK_LOGITS_GPU
    X = min(max(1, limit // (M * M * (rounds.chunks_before + 1))), B * H * rounds.n_chunks)
    for r in range(R):
        rows_SCM = rounds.order_BHRL[:, :, r].reshape(B * H, rounds.n_chunks, M) + first_row_S11
        q_blocks = rows_SCM.flatten(0, 1).split(X)
        k_blocks = look_back(rows_SCM, rounds.chunks_before, dim=1).flatten(0, 1).split(X)
        for q_rows, k_rows in zip(q_blocks, k_blocks, strict=True):
            mask = _mask(q_rows, k_rows, cells_RY, r, rounds, config)
            yield Block(q_rows, k_rows, mask, is_full=len(q_rows) == X)


def _mask(
    q_rows_XM: Tensor,
    k_rows_XK: Tensor,
    cells_RY: Tensor | None,
    r: int,
    rounds: SortedRounds,
    config: LSHConfig,
) -> Mask:
    padding, here, cells = None, None, None
    length, n_chunks = rounds.order_BHRL.shape[-1], rounds.n_chunks
    if not config.causal and rounds.valid_length < length:
        padding = k_rows_XK % length >= rounds.valid_length
    if cells_RY is not None and config.within_bucket:
        here = cells_RY[r][q_rows_XM], cells_RY[r][k_rows_XK]
    if cells_RY is not None and config.corrects:
        cells = cells_RY[:, q_rows_XM], cells_RY[:, k_rows_XK]
    return Mask(
        *(q_rows_XM.int(), k_rows_XK.int(), padding, here, cells),
        n_chunks=torch.full((), n_chunks, dtype=torch.int32, device=q_rows_XM.device),
        chunks_before=rounds.chunks_before,
        causal=config.causal,
    )
