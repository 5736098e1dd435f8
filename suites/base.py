"""A suite is a question and, for each preset, the list of cases that answer it. No torch.

A suite file names a base and what varies: `one_at_a_time` changes one setting from the base (an
ablation), `grid` takes the product (a sweep). A misspelt setting fails at import and names the
nearest legal one.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from baselines.config import (
    PEERS,
    require_installed,
    require_peer_attention,
    require_peer_model,
)
from reformer.checks import refuse_unknown
from reformer.config import ReformerConfig
from suites.settings import SETTINGS, Settings, change

PRESETS = ("quick", "cpu", "gpu", "paper")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case is one measurement to make: its settings, and the reason if it is skipped."""

    settings: Settings
    skip: str = ""  # the reason, for a combination that makes no sense

    @property
    def id(self) -> str:
        """Return the hash of what is measured (Settings.id)."""
        return self.settings.id


def make_case(settings: Settings) -> Case:
    """Make the case of these settings, marked as skipped if its configs refuse them."""
    try:
        config = settings.config(vocabulary=256)
        if settings.subject == "attention" and settings.in_chunks:
            settings.lsh().require_length(settings.length)
        if settings.attention in PEERS:
            require_possible(settings, config)
    except ValueError as error:
        return Case(settings=settings, skip=str(error))
    return Case(settings=settings)


def require_possible(settings: Settings, config: object) -> None:
    """Raise ValueError unless the peer of these settings is installed and can do this.

    config: of the model.
    """
    peer = settings.attention
    require_installed(peer)
    if settings.subject == "attention":
        require_peer_attention(peer, settings.lsh(), settings.length, settings.precision)
    elif isinstance(config, ReformerConfig):
        require_peer_model(peer, config)


def grid(base: Settings, **values: Sequence[Any]) -> list[Case]:
    """Make a sweep: the product of all values, everything else from `base`."""
    combinations = itertools.product(*values.values())
    return [
        make_case(change(base, **dict(zip(values, combo, strict=True)))) for combo in combinations
    ]


def one_at_a_time(base: Settings, **values: Sequence[Any]) -> list[Case]:
    """Make an ablation: `base`, then each value of each setting alone."""
    changed = [
        change(base, **{name: value}) for name, options in values.items() for value in options
    ]
    return unique([make_case(base), *(make_case(settings) for settings in changed)])


def unique(cases: Iterable[Case]) -> list[Case]:
    """Drop repeated cases, keeping the order; each is measured as often as any copy asks."""
    found: dict[str, Case] = {}
    for case in cases:
        before = found.get(case.id)
        settings = before.settings.joined(case.settings) if before else case.settings
        found[case.id] = Case(settings=settings, skip=case.skip)
    return list(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite holds one question and, per preset, the cases that answer it."""

    question: str
    # the setting on the x axis of its figures, where words make names in place of an axis; "" if
    # each case changes something else of a base: then they have a row for each change
    varies: str
    log_x: bool = True
    categories: tuple[str, ...] = ()  # settings that make such names together
    presets: dict[str, list[Case]]

    def __post_init__(self) -> None:
        refuse_unknown(self.varies, ("", *SETTINGS), "setting")
        for name in self.categories:
            refuse_unknown(name, SETTINGS, "setting")
        for preset in self.presets:
            refuse_unknown(preset, PRESETS, "preset")

    @property
    def analyses(self) -> set[str]:
        """Return the analyses that any of its cases asks for."""
        return {
            name
            for cases in self.presets.values()
            for case in cases
            for name in case.settings.analyses
        }

    def cases(self, preset: str) -> list[Case]:
        """Return the cases of a preset, each once. Raises ValueError if there is no such preset."""
        refuse_unknown(preset, self.presets, "preset")
        return unique(self.presets[preset])
