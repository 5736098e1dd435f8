"""What travels into a process: a job to do, or a question to answer. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from suites.settings import Settings

Key = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One process's work."""

    case: str
    kind: str  # one of suites.base.MEASURES
    index: int  # which pass, for time
    seed: int
    settings: Settings
    device: str
    data_path: str | None = None

    @property
    def key(self) -> Key:
        """What tells jobs of one run apart."""
        return self.case, self.kind, self.index, self.seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the machine before a sweep (suites.engine.measure.worker.probe)."""

    device: str
    tasks: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    download: bool = False
