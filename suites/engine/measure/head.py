"""One head of a trained model, as Figures 1 and 2 of the paper draw it: hash, sort and chunk.

Shapes: L positions of the stretch, W head width, R rotations.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from reformer.hashing import draw_rotations, rotate_to_buckets
from reformer.language_model import LanguageModel
from suites.engine.measure.attention_mass import (
    PAIRS_AT_ONCE,
    Attended,
    attended,
    query_positions,
    true_attention,
)
from suites.engine.measure.inside import SEED, Windows, rounded, spread
from suites.settings import Settings

# Positions of the stretch, the buckets into which it is hashed, and rotations in the plane.
STRETCH, STRETCH_BUCKETS, ROTATIONS = 64, 8, 3
NEAR = 16  # positions; a head that looks further back does so by content


def head(model: LanguageModel, windows: Windows, settings: Settings) -> dict[str, Any]:
    """Draw from one head what Figures 1 and 2 of the paper show, over the start of a window.

    It is the head of an LSH layer that looks furthest back (far_back): by content, where others
    look at their neighbours. The stretch is hashed alone, in one round, into STRETCH_BUCKETS
    buckets. weights: full attention, a row for each query, over earlier positions. plane: unit
    queries, projected on the two directions that keep most of their squared length; kept: the share
    of it that they keep. axes: of each rotation in the plane the two unit vectors r1, r2; bucket b
    is that of r1, r2, -r1, -r2.
    """
    tokens, _ = spread(windows, 1)
    kinds = settings.kinds
    layers = attended(model, tokens, settings)
    hashed = [one for one in layers if kinds[one.layer % len(kinds)] == "lsh"]
    shares = [far_back(one) for one in hashed]
    at = max(range(len(hashed)), key=lambda i: float(shares[i].max()))
    one, number = hashed[at], int(shares[at].argmax())
    n = min(STRETCH, one.qk_HLW.shape[-2])
    stretch = replace(
        one.config,
        n_rounds=1,
        bucket_size=max(1, n // STRETCH_BUCKETS),
        chunk_length=max(1, 2 * n // STRETCH_BUCKETS),
    )
    n -= n % stretch.m
    qk_LW = one.qk_HLW[number, :n].cpu()
    generator = torch.Generator().manual_seed(SEED)
    buckets = rotate_to_buckets(
        qk_LW[None, None],
        draw_rotations(qk_LW.shape[-1], stretch.hash_factors(n), 1, generator, stretch.rotation),
        1,
    )
    weights = true_attention(qk_LW[None], torch.arange(1, n), stretch.logit_scale)[0]
    return {
        "layer": one.layer,
        "head": number,
        "tokens": tokens[0, :n].tolist(),
        "weights": [[round(float(w), 3) for w in row[: i + 1]] for i, row in enumerate(weights)],
        "buckets": buckets.flatten().tolist(),
        "chunk_length": stretch.m,
        "chunks_before": stretch.chunks_before,
        **in_the_plane(qk_LW, generator),
    }


def far_back(one: Attended) -> Tensor:
    """Compute the share of the true attention of each head on keys more than NEAR back, (H,)."""
    length, device = one.qk_HLW.shape[-2], one.qk_HLW.device
    positions = query_positions(length).to(device)
    found_H = torch.zeros(len(one.qk_HLW), dtype=torch.float64, device=device)
    for at_Q in positions.split(max(1, PAIRS_AT_ONCE // (len(one.qk_HLW) * length))):
        far_QL = torch.arange(length, device=device) < at_Q.unsqueeze(-1) - NEAR
        weights_HQL = true_attention(one.qk_HLW, at_Q, one.config.logit_scale)
        found_H += (weights_HQL * far_QL).sum(dim=(-2, -1))
    return found_H / max(1, len(positions))


def in_the_plane(qk_LW: Tensor, generator: torch.Generator) -> dict[str, Any]:
    """Project vectors to a plane, and hash them there under ROTATIONS rotations (see `head`)."""
    unit_LW = normalize(qk_LW, dim=-1)
    directions_WL = torch.linalg.svd(unit_LW, full_matrices=False).Vh[:2].T
    plane_L2 = unit_LW @ directions_WL
    rotations = draw_rotations(2, (4,), ROTATIONS, generator)
    buckets_RL = rotate_to_buckets(plane_L2[None, None], rotations, ROTATIONS)[0, 0]
    return {
        "plane": [[round(float(x), 4) for x in row] for row in plane_L2],
        "kept": rounded(plane_L2.square().sum() / unit_LW.square().sum()),
        "axes": [
            [[round(float(x), 4) for x in r] for r in axes.T] for axes in rotations[0].movedim(1, 0)
        ],
        "plane_buckets": buckets_RL.tolist(),
    }
