"""What this process may use of the machine: cores and memory. No torch."""

import os
import re
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_bytes() -> int:
    """Memory that can still be taken: of the machine, or of the control group (a container, a
    batch job) if that has less.
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
