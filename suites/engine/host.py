"""These functions tell which cores and how much memory this process may use. No torch.

The limits of control groups (containers, batch jobs) count, of every group that this process is in
and of all above them: the tightest holds. What a system does not tell is no limit.
"""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
PROC_CGROUP = Path("/proc/self/cgroup")


def available_cores() -> int:
    """Count the cores that this process may use; a quota of two and a half cores is three."""
    cores = cores_by_affinity()
    for folder in groups("cpu"):
        quota = quota_of(folder)
        if quota is not None:
            cores = min(cores, max(1, math.ceil(quota)))
    return cores


def cores_by_affinity() -> int:
    """Count the cores on which the system lets this process run, quotas aside."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def available_bytes() -> int | None:
    """Return the bytes of memory that can still be taken; None where the system does not tell.

    They are the machine's, or those of the control group (a container, a batch job) if it has less.
    """
    rooms = [room for folder in groups("memory") if (room := room_in(folder)) is not None]
    try:
        rooms.append(int(psutil.virtual_memory().available))
    except Exception:  # whatever a system without a readable /proc makes of it
        pass
    return min(rooms, default=None)


def groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups that limit this process, in versions 1 and 2.

    A container may see its own group as the root, or under the name that the host has for it.
    """
    found = {CGROUP: None, CGROUP / "unified": None, CGROUP / controller: None}
    for line in read(PROC_CGROUP).splitlines():
        _, controllers, path = ([*line.split(":", 2), "", ""])[:3]
        names = controllers.split(",")
        if controllers and controller not in names:
            continue
        roots = [CGROUP / name for name in (controllers, *names)] if controllers else [CGROUP]
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for root in (*roots, *([CGROUP / "unified"] if not controllers else [])):
            found[root] = None
            for i in range(len(parts)):
                # from the root down to the group, and from a mounted group above it
                found[root.joinpath(*parts[: i + 1])] = None
                found[root.joinpath(*parts[i:])] = None
    yield from (folder for folder in found if folder.is_dir())


def room_in(folder: Path) -> int | None:
    """Return the bytes that a control group may still take; None if it has no limit."""
    for limit, used, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        n_limit, n_used = whole_number(folder / limit), whole_number(folder / used)
        if n_limit is None:
            continue
        # the cache of files is given back when memory is asked for
        kept = re.search(rf"^{cached} (\d+)", read(folder / "memory.stat"), re.M)
        return max(0, n_limit - (n_used or 0) + int(kept[1] if kept else 0))
    return None


def quota_of(folder: Path) -> float | None:
    """Return the cores' worth of time that a control group may use; None if it has no quota."""
    quota, _, period = read(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (
            read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
        )
    try:
        cores = int(quota) / int(period or 100_000)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return cores if cores > 0 else None


def whole_number(file: Path) -> int | None:
    """Return the number in a file; None if there is none, as where "max" stands for no limit."""
    text = read(file).strip()
    return int(text) if text.isdecimal() else None


def read(file: Path) -> str:
    """Return what is in a file of the system; "" where it is not shown."""
    try:
        return file.read_text(errors="replace")
    except (OSError, ValueError):
        return ""
