"""Chunk borders depend on later tokens: what if each prediction is made from its prefix alone?

Shapes: B windows, L length, V vocabulary, E ends of prefixes.
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from reformer.choices import Choices
from reformer.config import LSHConfig
from reformer.language_model import LanguageModel
from reformer.loss import IGNORED
from reformer.model import SharedQKAttention
from reformer.rounds import hash_and_sort
from suites.engine.measure.inside import (
    SEED,
    TOKENS_AT_ONCE,
    Windows,
    logits_of,
    queries,
    rounded,
    shared_qk_branches,
    spread,
)
from suites.settings import Settings, change

# So many held-out windows, and as many ends of prefixes in each, the same in all.
WINDOWS, ENDS = 8, 32
# A logit that changes by more than this has changed; rounding is below.
CHANGED = 1e-3


def past_only(model: LanguageModel, windows: Windows, settings: Settings) -> dict[str, Any]:
    """Compare predictions from the whole window with those from each prefix alone.

    The positions lie in the same places of all windows, one drawn in each of ENDS equal parts. The
    prefix is hashed as the whole window is, so that only chunk borders can differ; "own_hash" is
    the same with as many buckets as a sequence of the prefix's length has, which is how text is
    generated (LanguageModel.past_only_logits). All is computed in float32, whatever the settings'
    precision: rounding that depends on the length is no change.
    """
    settings = change(settings, precision="float32")
    tokens, targets = spread(windows, WINDOWS)
    ends = draw_ends(targets)
    at_once = max(1, TOKENS_AT_ONCE // settings.length)
    whole = torch.cat([logits_of(model, rows, settings)[:, ends] for rows in tokens.split(at_once)])

    def alone() -> Tensor:
        return torch.stack([last_logits(model, tokens[:, : e + 1], settings) for e in ends], dim=1)

    with hashed_as_a_whole(model, settings.length):
        found = changes(whole, alone(), targets[:, ends])
    if "lsh" in settings.kinds:
        found["own_hash"] = changes(whole, alone(), targets[:, ends])
    return {"n_windows": len(tokens), "n_positions": len(ends) * len(tokens), **found}


def draw_ends(targets_BL: Tensor) -> list[int]:
    """Draw the positions to predict at: one in each of ENDS equal parts of those that count."""
    counted = (targets_BL != IGNORED).any(dim=0).nonzero().flatten()
    n = min(ENDS, len(counted))
    generator = torch.Generator().manual_seed(SEED)
    edges = [i * len(counted) // n for i in range(n + 1)]
    drawn = [
        int(torch.randint(first, last, (), generator=generator))
        for first, last in itertools.pairwise(edges)
    ]
    return counted[drawn].tolist()


def last_logits(model: LanguageModel, tokens: Tensor, settings: Settings) -> Tensor:
    """Compute the logits at the last position of these sequences, (B, V)."""
    rows = tokens.split(max(1, TOKENS_AT_ONCE // tokens.shape[-1]))
    return torch.cat([logits_of(model, row, settings)[:, -1] for row in rows])


def changes(whole_BEV: Tensor, alone_BEV: Tensor, targets_BE: Tensor) -> dict[str, Any]:
    """Say how the second logits differ from the first: in bits per dim, more being worse.

    bits_error: the standard error, from window to window, of those with targets that count; 0 with
    one window.
    """
    targets_BE = targets_BE.to(whole_BEV.device)

    def nats(logits_BEV: Tensor) -> Tensor:
        flat = logits_BEV.flatten(0, 1).double()
        found = cross_entropy(flat, targets_BE.flatten(), reduction="none", ignore_index=IGNORED)
        return found.view(targets_BE.shape)

    counts_B = (targets_BE != IGNORED).sum(dim=1)
    bits_B = (nats(alone_BEV) - nats(whole_BEV)).sum(dim=1) / counts_B / math.log(2)
    bits_B = bits_B[counts_B > 0]
    moved_BE = (alone_BEV - whole_BEV).abs().amax(dim=-1)
    n = len(bits_B)
    return {
        "bits_change": rounded(bits_B.mean()),
        "bits_error": rounded(bits_B.std() / n**0.5) if n > 1 else 0.0,
        "share_changed": rounded((moved_BE > CHANGED).double().mean()),
        "largest_change": rounded(moved_BE.max()),
    }


@contextmanager
def hashed_as_a_whole(model: LanguageModel, length: int) -> Iterator[None]:
    """Hash shorter sequences into the same buckets as a window of this length.

    Each layer draws the hash of its call in evaluation, but as of the whole window.
    """

    def before(branch: SharedQKAttention, arguments: tuple[Tensor, Choices]) -> None:
        x, choices = arguments
        config = branch.attention
        if isinstance(config, LSHConfig):
            qk = queries(branch, x)
            choices.rounds = hash_and_sort(
                pad(qk, (0, 0, 0, -x.shape[-2] % config.m)),
                config,
                generator=choices.generator(),
                valid_length=x.shape[-2],
                kernel=branch.kernel,
                whole_length=length,
            )

    with ExitStack() as hooks:
        for branch in shared_qk_branches(model):
            hooks.enter_context(branch.register_forward_pre_hook(before))
        yield
