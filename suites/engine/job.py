"""Jobs and questions travel into a process, and how each ended travels out of it. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from suites.engine.failures import Failure
from suites.settings import Settings

Key = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job is what one process does: a pass of timing, the memory pass, or training with one seed.

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
        """Return what tells jobs of one run apart: case, kind, index and seed."""
        return self.case_id, self.kind, self.index, self.seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question is what is asked of the machine before a sweep (suites.engine.measure.probe).

    lengths: the longest sequence by task, for the tasks whose data must be there; evaluated: the
    longest one that is evaluated. attentions: those that must be importable: published ones and the
    user's own. data: paths by task. download: may missing data be fetched?
    """

    device: str
    lengths: Mapping[str, int] = field(default_factory=dict)
    evaluated: Mapping[str, int] = field(default_factory=dict)
    attentions: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    download: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome is what a process gave back: its result, or how it failed; and its duration."""

    result: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    wall_s: float = 0.0
