"""These functions tell which cores and how much memory this process may use. No torch."""

import os
import re
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_bytes() -> int:
    """Return the bytes of memory that can still be taken.

    They are the machine's, or those of the control group (a container, a batch job) if it has less.
    """
    available = psutil.virtual_memory().available
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = int((CGROUP / "memory.current").read_text())
        cached = re.search(r"^inactive_file (\d+)", (CGROUP / "memory.stat").read_text(), re.M)
    except OSError:
        return available
    if limit == "max":
        return available
    return min(available, max(0, int(limit) - used + int(cached[1] if cached else 0)))
