"""A trained model is looked at in other ways than by its bits per dim (Settings.analyses)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from reformer.language_model import LanguageModel
from suites.engine.measure.attention_mass import attention_mass
from suites.engine.measure.head import head
from suites.engine.measure.inside import Windows
from suites.engine.measure.past_only import past_only
from suites.evaluations import analyses_of
from suites.settings import Settings

ANALYSE: dict[str, Callable[[LanguageModel, Windows, Settings], dict[str, Any]]] = {
    "past only": past_only,
    "attention mass": attention_mass,
    "head": head,
}


def analyse(
    model: LanguageModel, heldout: Iterable[Windows], settings: Settings
) -> dict[str, dict[str, Any]]:
    """Make the analyses that the settings ask for, by name: `analyses` of a record's quality.

    heldout: batches of all held-out windows. Leaves the model in training mode.
    """
    if not analyses_of(settings):
        return {}
    tokens, targets = zip(*heldout, strict=True)
    windows = torch.cat(tokens), torch.cat(targets)
    model.eval()
    found = {name: ANALYSE[name](model, windows, settings) for name in analyses_of(settings)}
    model.train()
    return found
