"""Faults that a sceptic would fear, by what they are planted in; see mutations.py."""

from mutants import (
    of_build,
    of_growth,
    of_memory,
    of_statistics,
    of_timing,
    of_training,
    of_worker,
)

# Each has FAULTS, and TESTS that must see them, quick ones first.
GROUPS = {
    "training": of_training,
    "worker": of_worker,
    "build": of_build,
    "timing": of_timing,
    "memory": of_memory,
    "growth": of_growth,
    "statistics": of_statistics,
}
