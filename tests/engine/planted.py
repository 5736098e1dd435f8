"""Jobs with planted ends, called in real processes; d_ff of the settings says which end."""

import ctypes
import gc
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from sweeps import result_of

from suites.engine.job import Job
from suites.engine.measure import ruler, worker
from suites.engine.measure.device import CPU
from suites.engine.measure.timing import measure_time
from suites.settings import Settings

BYTES_PER_MIB = 2**20
GROWTH_MIB = 256
HEALTHY, RAISES, GROWS, HANGS, SEGFAULTS, KILLED, DIVERGES, DISTURBED = range(4, 36, 4)
FAILS_LATE, FAILS_AGAIN = 36, 40
SPIN_MS = 1.0


def settings_for(planted: int, **changes: Any) -> Settings:
    """Settings of a case that ends so; others tell cases apart."""
    given = {"length": 64, "measures": ("time", "memory"), "d_model": 16, "n_heads": 1}
    return Settings(**{**given, "d_ff": planted, **changes})


def run_job(job: Job) -> dict[str, Any]:
    """End as planted."""
    ends = {
        RAISES: raise_error,
        GROWS: grow_beyond_limit,
        HANGS: hang,
        SEGFAULTS: segfault,
        KILLED: kill_itself,
        DIVERGES: diverge,
    }
    ends.get(job.settings.d_ff, lambda: None)()
    if job.settings.d_ff == FAILS_LATE and job.kind == "memory":
        raise_error()
    changes: dict[str, Any] = {"pid": os.getpid()}
    if job.kind == "time" and job.settings.d_ff in (DISTURBED, FAILS_AGAIN):
        if job.settings.d_ff == FAILS_AGAIN and is_second_try():
            raise_error()
        changes["disturbed"] = True
    return result_of(job.kind, **changes)


def run_with_one_failing_training(job: Job) -> dict[str, Any]:
    """Trainings side by side: that of seed 0 runs out of memory, the others end well, later."""
    if job.kind == "quality" and job.seed == 0:
        raise MemoryError
    time.sleep(0.6)
    return result_of(job.kind)


def run_version_1(job: Job) -> dict[str, Any]:
    """A healthy job of the first version of the user's own attention."""
    return {**result_of(job.kind), "versions": {"own:f": "1"}}


def is_second_try() -> bool:
    """Did this case's job start before? Its log tells, by the word that each start leaves there."""
    print("tried", flush=True)
    return Path("/proc/self/fd/1").readlink().read_text().count("tried") % 2 == 0


def time_spin(job: Job, ms: float = SPIN_MS) -> dict[str, Any]:
    """A healthy timing of a spin, as cases are timed."""
    gc.freeze()
    spin = ruler.Spin(ms)
    return result_of("time", **measure_time({"work": spin}, CPU(), job.settings.time_budget_s))


def time_slower_spin(job: Job) -> dict[str, Any]:
    """The same, a tenth longer."""
    return time_spin(job, 1.1 * SPIN_MS)


def take_a_while(job: Job) -> dict[str, Any]:
    """A healthy job of known duration, in seconds its time budget."""
    time.sleep(job.settings.time_budget_s)
    return result_of(job.kind)


def note_span(job: Job) -> dict[str, Any]:
    """A healthy job that says when it ran, on the clock that all processes share."""
    started = time.monotonic()
    time.sleep(job.settings.time_budget_s)
    return result_of(job.kind, span=[started, time.monotonic()])


def raise_error() -> None:
    raise RuntimeError("first line\nplanted failure")


def grow_beyond_limit() -> None:
    """Real memory, tensor by tensor, against a real limit that is near."""
    limit = psutil.Process().memory_info().vms + GROWTH_MIB * BYTES_PER_MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    hoard = []
    while True:
        hoard.append(torch.ones(16 * BYTES_PER_MIB // 4))


def hang() -> None:
    while True:
        time.sleep(60)


def segfault() -> None:
    ctypes.string_at(0)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def diverge() -> None:
    """Real training, at a learning rate that no model survives."""
    settings = Settings(
        length=64,
        d_model=16,
        d_ff=32,
        n_heads=1,
        n_layers=1,
        learning_rate=1e30,
        train_steps=20,
        warmup_steps=1,
        heldout_tokens=64,
    )
    torch.set_num_threads(1)
    job = Job(case_id="x", kind="quality", index=0, seed=0, settings=settings, device="cpu")
    worker.measure_quality_of(job, worker.open_device("cpu"))


def address_space(_: object) -> dict[str, Any]:
    """The limit of this process, what it uses, and what the machine has free."""
    limit, _hard = resource.getrlimit(resource.RLIMIT_AS)
    used = psutil.Process().memory_info().vms
    return {"limit": limit, "used": used, "available": psutil.virtual_memory().available}


def write_and_wait(seconds: float) -> dict[str, Any]:
    """For tests that kill from outside."""
    print("waiting", flush=True)
    time.sleep(seconds)
    return {}
