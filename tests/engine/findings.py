"""What planted jobs find, as the processes of workers report it.

It imports only what the fork server has imported: a job of its own costs no more than a real one.
"""

import time
from typing import Any

from suites.engine.job import Job

IDENTITY = {"machine": "test", "threads": 1}
BYTES_PER_MIB = 2**20
MEMORY = {
    "peak_bytes": 120 * BYTES_PER_MIB,
    "rest_bytes": 90 * BYTES_PER_MIB,
    "live_peak_bytes": 100 * BYTES_PER_MIB,
    "weights_bytes": 10 * BYTES_PER_MIB,
    "gradients_bytes": 10 * BYTES_PER_MIB,
    "optimizer_bytes": 10 * BYTES_PER_MIB,
    "baseline_bytes": 300 * BYTES_PER_MIB,
    "method": "vmhwm",
}
QUALITY = {
    "bits_per_dim": 3.0,
    "accuracy": 0.4,
    "curve": [[2, 3.0]],
    "train_curve": [[2, 3.1]],
    "evaluated_with": {},
    "heldout_tokens": 64,
    "train_tokens": 128,
    "data": {"name": "planted"},
}


def part_of(kind: str, **changes: Any) -> dict[str, Any]:
    """Return the part of a record of a job that ended well, as a worker reports it."""
    timing = {
        "first_ms": {"step": 3.0},
        "samples_ms": {"step": [1.0, 1.1, 0.9]},
        "steady": True,
        "stopped_by": "interval",
        "disturbed": False,
        "readings": {},
    }
    return {"time": timing, "memory": MEMORY, "quality": QUALITY}[kind] | changes


def result_of(kind: str, **changes: Any) -> dict[str, Any]:
    """Return what the process of a job that ended well sends."""
    return {
        "part": part_of(kind, **changes),
        "kernel": "planted",
        "identity": IDENTITY,
        "versions": {},
        "gflops": 100.0,
    }


def take_a_while(job: Job) -> dict[str, Any]:
    """Sleep for the time budget, and end well."""
    time.sleep(job.settings.time_budget_s)
    return result_of(job.kind)
