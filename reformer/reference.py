"""The oracle computes the paper's equations literally, over all pairs of positions, in any dtype.

It takes O(l^2) memory and time; only tests import it.

Shapes: B batch, H heads, R rounds, L length (queries), K length (keys), W head width.
"""

import torch
from torch import Tensor

from reformer.config import SELF_PENALTY, LSHConfig


def reference_buckets(vectors_BHLW: Tensor, rotations: list[Tensor]) -> Tensor:
    """Hash by h(x) = argmax([xR ; -xR]) with each rotation (W, R, n/2), (B, H, R, L).

    The results of several rotations are the digits of one number.
    """
    buckets_BHRL = torch.zeros(1, dtype=torch.long, device=vectors_BHLW.device)
    for rotation_WRN in rotations:
        rotated = torch.einsum("bhlw,wrn->bhrln", vectors_BHLW, rotation_WRN)
        digit = torch.cat([rotated, -rotated], dim=-1).argmax(dim=-1)
        buckets_BHRL = buckets_BHRL * 2 * rotation_WRN.shape[-1] + digit
    return buckets_BHRL


def attended_sets(buckets_BHRL: Tensor, config: LSHConfig) -> Tensor:
    """Tell whether key j is in P_i of round r, before causality: (B, H, R, L, K) bool.

    It is if it stands in the chunk window (eq. 5) and, under `within_bucket`, in the same bucket
    (eq. 4).
    """
    length = buckets_BHRL.shape[-1]
    position = torch.arange(length, device=buckets_BHRL.device)
    bucket_i, bucket_j = buckets_BHRL.unsqueeze(-1), buckets_BHRL.unsqueeze(-2)
    earlier = (bucket_j < bucket_i) | (
        (bucket_j == bucket_i) & (position[None, :] < position[:, None])
    )
    rank = earlier.sum(dim=-1)  # in the order by (bucket, position)
    chunk = rank // config.m
    n_chunks = length // config.m
    chunks_back = (chunk.unsqueeze(-1) - chunk.unsqueeze(-2)) % n_chunks
    attended = chunks_back <= config.chunks_before
    return attended & (bucket_i == bucket_j) if config.within_bucket else attended


def keys(qk_BHLW: Tensor) -> Tensor:
    """Return k = q / |q| (section 2, shared-QK); 0 where q is 0 and has no direction."""
    norms = qk_BHLW.norm(dim=-1, keepdim=True)
    return qk_BHLW / norms.masked_fill(norms == 0, torch.inf)


def reference_attention(
    qk_BHLW: Tensor, v_BHLW: Tensor, buckets_BHRL: Tensor, config: LSHConfig
) -> Tensor:
    """Compute LSH attention by equations 2 to 5, 14 and 16, (B, H, L, W)."""
    length = qk_BHLW.shape[-2]
    k_BHLW = keys(qk_BHLW)
    attended = attended_sets(buckets_BHRL, config)
    logits = config.logit_scale * (qk_BHLW @ k_BHLW.transpose(-1, -2)).unsqueeze(2)
    if config.correct_duplicates:
        n_ij = attended.sum(dim=2, keepdim=True)
        logits = logits - n_ij.clamp(min=1).to(qk_BHLW.dtype).log()
    logits = logits - SELF_PENALTY * torch.eye(length, dtype=qk_BHLW.dtype, device=qk_BHLW.device)
    if config.causal:
        attended = attended & torch.ones_like(logits[0, 0, 0], dtype=torch.bool).tril()
    logits = logits.masked_fill(~attended, -torch.inf)
    z_BHRL = logits.logsumexp(dim=-1)
    outputs_BHRLW = logits.softmax(dim=-1) @ v_BHLW.unsqueeze(2)
    z_BH1L = z_BHRL.logsumexp(dim=2, keepdim=True)
    return ((z_BHRL - z_BH1L).exp().unsqueeze(-1) * outputs_BHRLW).sum(dim=2)


def reference_full_attention(
    qk_BHLW: Tensor, v_BHLW: Tensor, causal: bool = True, logit_scale: float = 1.0
) -> Tensor:
    """Compute full shared-QK attention, (B, H, L, W) (section 2).

    The keys have unit length, and a position attends to itself only when nothing else is left.
    """
    length = qk_BHLW.shape[-2]
    k_BHLW = keys(qk_BHLW)
    logits = logit_scale * qk_BHLW @ k_BHLW.transpose(-1, -2)
    logits = logits - SELF_PENALTY * torch.eye(length, dtype=qk_BHLW.dtype, device=qk_BHLW.device)
    if causal:
        logits = logits.masked_fill(
            ~torch.ones_like(logits[0, 0], dtype=torch.bool).tril(), -torch.inf
        )
    return logits.softmax(dim=-1) @ v_BHLW
