"""A fault is a change of one place in the measured code that no test may let pass."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """In `file` the text `old` stands exactly once; `new` in its place is wrong, and why."""

    file: str
    old: str
    new: str
    why: str
