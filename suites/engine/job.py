"""What travels into a process and out of it: jobs, questions, and how each ended. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from suites.engine.failures import Failure
from suites.settings import Settings

Key = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one process does: one pass of timing, the memory pass, or training with one seed.

    kind: one of suites.settings.MEASURES. index: which pass, for time. library: the compiled native
    kernel that the sweep began with, "" if there is none.
    """

    case_id: str
    kind: str
    index: int
    seed: int
    settings: Settings
    device: str
    data_path: str | None = None
    library: str = ""

    @property
    def key(self) -> Key:
        """What tells jobs of one run apart."""
        return self.case_id, self.kind, self.index, self.seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the machine before a sweep (suites.engine.measure.worker.probe).

    lengths: the longest sequence by task, for the tasks whose data must be there. attentions: those
    that must be importable: published ones and the user's own.
    """

    device: str
    lengths: Mapping[str, int] = field(default_factory=dict)
    attentions: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    download: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a process gave back: its result, or how it failed; and its duration."""

    result: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    wall_s: float = 0.0
