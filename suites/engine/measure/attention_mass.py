"""How much of the true attention of a trained model do the pairs hold that LSH lets meet?

Shapes: L length, H heads, W head width, R rounds, Q queries.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import normalize

from reformer.choices import Choices
from reformer.config import LSHConfig
from reformer.language_model import LanguageModel
from reformer.model import SharedQKAttention
from reformer.reversible import Layer
from reformer.sorting import SortedRounds, met
from suites.engine.measure.inside import (
    Windows,
    logits_of,
    queries,
    rounded,
    shared_qk_branches,
    spread,
)
from suites.settings import Settings

# So many windows, and queries of each: all, if there are fewer.
WINDOWS, QUERIES = 4, 1024
PAIRS_AT_ONCE = 2**22  # of query and key, over heads and rounds


@dataclass(frozen=True, slots=True)
class Attended:
    """This is what a layer attended with in one window: queries, and the order of every round."""

    layer: int
    qk_HLW: Tensor
    rounds: SortedRounds
    config: LSHConfig


def attention_mass(model: LanguageModel, windows: Windows, settings: Settings) -> dict[str, Any]:
    """Tell how much of the true attention the pairs hold that met within r rounds, r = 1, 2, ...

    True attention is full: over unit keys, the position itself left out, softmax over all earlier
    positions. mass: its share on pairs that met, by layer and rounds, a mean over positions and
    heads; pairs: the share of the earlier positions that met, so what keys picked blindly hold.
    """
    layers: dict[int, list[Tensor]] = {}
    tokens, _ = spread(windows, WINDOWS)
    for row in tokens.split(1):
        for one in attended(model, row, settings):
            layers.setdefault(one.layer, []).append(mass_of(one).mean(dim=1))
    means = {layer: torch.stack(found).mean(dim=0) for layer, found in layers.items()}
    return {
        "n_windows": len(tokens),
        "layers": list(means),
        "mass": [[rounded(x) for x in both_2R[0]] for both_2R in means.values()],
        "pairs": [[rounded(x) for x in both_2R[1]] for both_2R in means.values()],
    }


def attended(model: LanguageModel, tokens_1L: Tensor, settings: Settings) -> list[Attended]:
    """Run a model on one window, and tell what each layer with chunks attended with."""
    found: list[Attended] = []
    places = {layer.attention: i for i, layer in enumerate(cast(list[Layer], [*model.layers]))}

    def after(branch: SharedQKAttention, arguments: tuple[Tensor, Choices], out: Tensor) -> None:
        x, choices = arguments
        if isinstance(branch.attention, LSHConfig) and choices.rounds is not None:
            qk_HLW = queries(branch, x)[0].float()
            found.append(Attended(places[branch], qk_HLW, choices.rounds, branch.attention))

    with ExitStack() as hooks:
        for branch in shared_qk_branches(model):
            hooks.enter_context(branch.register_forward_hook(after))
        logits_of(model, tokens_1L, settings)
    return found


def mass_of(one: Attended) -> Tensor:
    """Compute the shares of attention and of pairs that met, (2, H, R), means over positions.

    They are those of query_positions.
    """
    length, device = one.qk_HLW.shape[-2], one.qk_HLW.device
    cells_HRL = one.rounds.cells_BHRL()[0, ..., :length]
    positions = query_positions(length).to(device)
    sums = torch.zeros(2, *cells_HRL.shape[:2], dtype=torch.float64, device=device)
    at_once = max(1, PAIRS_AT_ONCE // cells_HRL.numel())
    for at_Q in positions.split(at_once):
        weights_HQL = true_attention(one.qk_HLW, at_Q, one.config.logit_scale)
        met_HRQL = met(
            cells_HRL[..., at_Q].unsqueeze(-1),
            cells_HRL.unsqueeze(-2),
            one.rounds.n_chunks,
            one.rounds.chunks_before,
        )
        earlier_QL = torch.arange(length, device=device) < at_Q.unsqueeze(-1)
        within_HRQL = (met_HRQL.int().cumsum(dim=1) > 0) & earlier_QL
        sums[0] += (weights_HQL.unsqueeze(1) * within_HRQL).sum(dim=(-2, -1))
        sums[1] += (within_HRQL.sum(dim=-1) / at_Q).sum(dim=-1)
    return sums / max(1, len(positions))


def query_positions(length: int) -> Tensor:
    """Return all positions but 0, which has no earlier one; of more than QUERIES some, evenly."""
    n = min(QUERIES, length - 1)
    return 1 + torch.arange(n) * (length - 1) // max(1, n)


def true_attention(qk_HLW: Tensor, at_Q: Tensor, logit_scale: float) -> Tensor:
    """Compute the weights of full attention over earlier positions, (H, Q, L), at these ones."""
    keys_HLW = normalize(qk_HLW, dim=-1)
    logits_HQL = logit_scale * qk_HLW[:, at_Q] @ keys_HLW.transpose(-1, -2)
    later_QL = torch.arange(qk_HLW.shape[-2], device=at_Q.device) >= at_Q.unsqueeze(-1)
    return logits_HQL.masked_fill(later_QL, -torch.inf).softmax(dim=-1)
