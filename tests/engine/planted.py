"""Planted jobs end as their settings say, by d_ff; they are called in real processes."""

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
from findings import result_of

from suites.engine.job import Job
from suites.engine.measure import ruler, worker
from suites.engine.measure.device import CPU
from suites.engine.measure.timing import measure_time
from suites.engine.sweep.executors import child
from suites.settings import Settings

BYTES_PER_MIB = 2**20
GROWTH_MIB = 256
HEALTHY, RAISES, GROWS, HANGS, SEGFAULTS, KILLED, DIVERGES, DISTURBED = range(4, 36, 4)
FAILS_LATE, FAILS_AGAIN = 36, 40
SPIN_MS = 1.0
# No machine is so busy that a process does not start in this time.
MEETING_S = 120.0
AVAILABLE_BYTES = 8 * 2**30


def settings_for(planted: int, **changes: Any) -> Settings:
    """Return settings of a case that ends as `planted` says; `changes` tell cases apart.

    It is timed in two processes, and does not grow.
    """
    given = {"length": 64, "measures": ("time", "memory"), "d_model": 16, "n_heads": 1}
    given |= {"processes": 2, "max_processes": 2}
    return Settings(**{**given, "d_ff": planted, **changes})


def run_job(job: Job) -> dict[str, Any]:
    """End as the settings say, or return what a healthy job finds."""
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


def run_undisturbed(job: Job) -> dict[str, Any]:
    """Return what a healthy job finds, whatever was planted."""
    return result_of(job.kind)


def run_with_one_failing_training(job: Job) -> dict[str, Any]:
    """Run out of memory in the training of seed 0; end well, and later, in the others."""
    if job.kind == "quality" and job.seed == 0:
        raise MemoryError
    time.sleep(0.6)
    return result_of(job.kind)


def run_version_1(job: Job) -> dict[str, Any]:
    """Return what a healthy job of version 1 of the user's own attention finds."""
    return {**result_of(job.kind), "versions": {"own:f": "1"}}


def is_second_try() -> bool:
    """Return whether this case's job started before.

    Its log tells, by the word that each start leaves there.
    """
    print("tried", flush=True)
    return Path("/proc/self/fd/1").readlink().read_text().count("tried") % 2 == 0


def time_spin(job: Job, ms: float = SPIN_MS) -> dict[str, Any]:
    """Time a spin, as cases are timed."""
    gc.freeze()
    spin = ruler.Spin(ms)
    return result_of("time", **measure_time({"work": spin}, CPU(), job.settings.time_budget_s))


def time_slower_spin(job: Job) -> dict[str, Any]:
    """Time a spin that is a tenth longer."""
    return time_spin(job, 1.1 * SPIN_MS)


def meet(job: Job) -> dict[str, Any]:
    """End well once another seed's training of the same case runs too, however long that takes."""
    folder = Path("/proc/self/fd/1").readlink().parent
    (folder / f"seed {job.seed} is here").touch()
    deadline = time.monotonic() + MEETING_S
    while len(list(folder.glob("seed * is here"))) < 2:
        assert time.monotonic() < deadline, "no other training runs beside this one"
        time.sleep(0.01)
    return result_of(job.kind)


def raise_error() -> None:
    """Raise an error of two lines, of which the last one is the reason in the record."""
    raise RuntimeError("first line\nplanted failure")


def grow_beyond_limit() -> None:
    """Fill real memory, tensor by tensor, against a real limit that is near."""
    limit = psutil.Process().memory_info().vms + GROWTH_MIB * BYTES_PER_MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    hoard = []
    while True:
        hoard.append(torch.ones(16 * BYTES_PER_MIB // 4))


def hang() -> None:
    """Never end."""
    while True:
        time.sleep(60)


def segfault() -> None:
    """End by a signal of the system, with a traceback of faulthandler in the log."""
    ctypes.string_at(0)


def kill_itself() -> None:
    """End by a signal that no handler sees and no log tells of."""
    os.kill(os.getpid(), signal.SIGKILL)


def diverge() -> None:
    """Train a real model at a learning rate that none survives."""
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


def enter_with_planted_memory(*arguments: Any) -> None:
    """Enter a fresh process on a machine that always has AVAILABLE_BYTES to give."""
    child.available_bytes = lambda: AVAILABLE_BYTES
    child.enter(*arguments)


def address_space(_: object) -> dict[str, Any]:
    """Return the limit of this process's address space and what it uses, in bytes."""
    limit, _hard = resource.getrlimit(resource.RLIMIT_AS)
    return {"limit": limit, "used": psutil.Process().memory_info().vms}


def write(word: str) -> dict[str, Any]:
    """Print a word into the log of this process."""
    print(word, flush=True)
    return {}


def differ_by_process(job: Job) -> dict[str, Any]:
    """Take a fifth longer in every second process of a timing; end like `run_job` else."""
    found = run_job(job)
    if job.kind == "time":
        ms = 1.2 if job.index % 2 else 1.0
        found["part"]["samples_ms"] = {"step": [ms, 1.1 * ms, 0.9 * ms]}
    return found


def take_over_a_minute(job: Job) -> dict[str, Any]:
    """Differ by process, with one sample each, as of a step of over a minute."""
    found = differ_by_process(job)
    if job.kind == "time":
        step = [6e4 * ms for ms in found["part"]["samples_ms"]["step"][:1]]
        found["part"] |= {"samples_ms": {"step": step}, "steady": False, "stopped_by": "long"}
    return found
