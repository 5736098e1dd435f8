"""Analyses look inside a trained model: at its logits and at the queries of its attention.

Shapes: B windows, L length, D model width, V vocabulary, H heads, W head width.
"""

from typing import cast

import torch
from torch import Tensor

from reformer.language_model import LanguageModel
from reformer.model import SharedQKAttention
from reformer.reversible import Layer
from suites.settings import Settings

# What an analysis draws, it draws by this seed for all models.
SEED = 2001
# Tokens that are computed together, so that memory does not grow with the number of windows.
TOKENS_AT_ONCE = 2**13
DECIMALS = 6

Windows = tuple[Tensor, Tensor]  # tokens and targets, (B, L) each


@torch.no_grad()
def logits_of(model: LanguageModel, tokens: Tensor, settings: Settings) -> Tensor:
    """Compute logits in the settings' precision, on the model's device, float32."""
    tokens = tokens.to(next(model.parameters()).device)
    with torch.autocast(
        tokens.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"
    ):
        return cast(Tensor, model(tokens).float())


def spread(windows: Windows, n: int) -> Windows:
    """Choose n windows, or all if there are fewer, evenly over the held-out part."""
    n = min(n, len(windows[0]))
    chosen = [i * len(windows[0]) // n for i in range(n)]
    return windows[0][chosen], windows[1][chosen]


def shared_qk_branches(model: LanguageModel) -> list[SharedQKAttention]:
    """Return the attention of the layers that have queries as keys and may hash them, in order."""
    branches = [cast(Layer, layer).attention for layer in model.layers]
    return [branch for branch in branches if isinstance(branch, SharedQKAttention)]


def queries(branch: SharedQKAttention, x_BLD: Tensor) -> Tensor:
    """Compute the queries of an attention branch, which are its keys, (B, H, L, W)."""
    return branch.to_qk(branch.norm(x_BLD)).unflatten(-1, (branch.n_heads, -1)).transpose(1, 2)


def rounded(value: Tensor) -> float:
    """Return a number as it stands in a record."""
    return round(float(value), DECIMALS)
