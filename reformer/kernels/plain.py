"""This kernel is the readable one: all rounds and chunks at once, differentiated by PyTorch.

Products are of the inputs' dtype, whatever autocast says; norms, logits and the softmax over them
are float32 at least.

Shapes: B batch, H heads, L length, W head width, R rounds, C chunks, M chunk length, K keys a chunk
sees.
"""

import torch
from torch import Tensor

from reformer.autocast import without_autocast
from reformer.config import SELF_PENALTY, LSHConfig
from reformer.eager import eagerly
from reformer.precision import normalized, sum_dtype
from reformer.sorting import SortedRounds, look_back, met


@eagerly
def attend(qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig) -> Tensor:
    """Attend over sorted rounds, (batch, heads, length, width)."""
    with without_autocast(qk):
        return _attend(qk, v, rounds, config)


def _attend(qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig) -> Tensor:
    order_BHRL = rounds.order_BHRL.long()
    position_BHRCM = order_BHRL.unflatten(-1, (rounds.n_chunks, rounds.chunk_length))
    position_BHRCK = look_back(position_BHRCM, rounds.chunks_before, dim=3)
    q_BHRCMW = _take(qk, position_BHRCM)
    k_BHRCKW = _take(normalized(qk), position_BHRCK)
    logits = config.logit_scale * q_BHRCMW @ k_BHRCKW.transpose(-1, -2)
    logits = _mask(logits.to(sum_dtype(qk)), position_BHRCM, position_BHRCK, rounds, config)
    z_BHRCM = logits.logsumexp(dim=-1)
    out_BHRCMW = logits.softmax(dim=-1).to(v.dtype) @ _take(v, position_BHRCK)

    place_BHRL = torch.empty_like(order_BHRL).scatter_(
        -1, order_BHRL, torch.arange(order_BHRL.shape[-1], device=v.device).expand_as(order_BHRL)
    )
    z_BHRL = z_BHRCM.flatten(-2).gather(-1, place_BHRL)
    out_BHRLW = out_BHRCMW.flatten(-3, -2).gather(
        3, place_BHRL.unsqueeze(-1).expand(*place_BHRL.shape, v.shape[-1])
    )
    return (z_BHRL.softmax(dim=2).to(v.dtype).unsqueeze(-1) * out_BHRLW).sum(dim=2)


def _take(x_BHLW: Tensor, position_BHRCM: Tensor) -> Tensor:
    """Gather rows of x by position, (B, H, R, C, M, W)."""
    B, H, _, W = x_BHLW.shape
    index = position_BHRCM.reshape(B, H, -1, 1).expand(B, H, -1, W)
    return x_BHLW.gather(2, index).view(*position_BHRCM.shape, W)


def _mask(
    logits: Tensor, q_position: Tensor, k_position: Tensor, rounds: SortedRounds, config: LSHConfig
) -> Tensor:
    """Subtract log N_ij, mask what is not attended to, penalise the position itself."""
    qs, ks = q_position.unsqueeze(-1), k_position.unsqueeze(-2)
    hidden = torch.zeros_like(logits, dtype=torch.bool)
    if config.within_bucket or config.corrects:
        cells_BHRL = rounds.cells_BHRL()
        n_met = torch.zeros_like(logits)
        for r in range(config.n_rounds):
            cells_q, cells_k = (_cells_of_round(cells_BHRL, r, p) for p in (q_position, k_position))
            met_in_r = met(
                cells_q.unsqueeze(-1), cells_k.unsqueeze(-2), rounds.n_chunks, rounds.chunks_before
            )
            n_met += met_in_r
            if config.within_bucket:
                hidden[:, :, r] |= ~met_in_r[:, :, r]
        if config.corrects:
            logits = logits - n_met.clamp(min=1).log()
    if config.causal:
        hidden |= ks > qs
    elif rounds.valid_length < rounds.order_BHRL.shape[-1]:
        hidden |= (ks >= rounds.valid_length) & (ks != qs)
    return (logits - SELF_PENALTY * (qs == ks).to(logits.dtype)).masked_fill(hidden, -torch.inf)


def _cells_of_round(cells_BHRL: Tensor, r: int, position_BHRCM: Tensor) -> Tensor:
    """Gather the cells in round r of the positions in every round's chunks, (B, H, R, C, M)."""
    cells_BHL = cells_BHRL[:, :, r]
    return cells_BHL.gather(-1, position_BHRCM.flatten(2)).view(position_BHRCM.shape)
