"""One job is done in a process of its own: measure time, measure memory, or train and evaluate.

Imported by the fork server, so that torch is there when a job starts.
"""

from pathlib import Path
from typing import Any

import torch

# imported by the fork server: 2 s that the first optimizer of every process would spend
import torch._dynamo

from reformer.kernels import native
from suites.engine.host import available_cores
from suites.engine.job import Job
from suites.engine.measure import machine
from suites.engine.measure.device import Device, map_large_blocks, open_device
from suites.engine.measure.memory import measure_memory
from suites.engine.measure.readings import ForeignLoad, readings
from suites.engine.measure.steps import build_step
from suites.engine.measure.timing import measure_time
from suites.engine.measure.training import train_and_evaluate
from suites.engine.measure.versions import versions_of

# From LONG tokens on the memory pass warms up on a short piece of them.
LONG = 2**16
COMPILED_AT_FIRST_CALL = ("compiled", "flex", "triton")


def run_job(job: Job) -> dict[str, Any]:
    """Do a job, and return what its process found.

    That is {"part": of the record, "kernel": what ran, "identity", "versions", "gflops"}, and
    "copy_gbs" on a GPU: the speed of this very process in a matrix product, and in copying,
    measured when it is done.
    """
    if job.library:
        use_library(Path(job.library))
    device = prepare(job.device, n_threads(job))
    device.seed(job.seed)
    measure = {"time": measure_time_of, "memory": measure_memory_of, "quality": measure_quality_of}[
        job.kind
    ]
    found = measure(job, device)
    return {
        **found,
        "identity": machine.identity(device),
        "versions": versions_of(job.settings, job.data_path),
        "gflops": machine.matmul_gflops(device, job.settings.precision),
        **({} if device.type == "cpu" else {"copy_gbs": machine.copy_gbs(device)}),
    }


def use_library(path: Path) -> None:
    """Use the native kernel that the sweep began with. Raises RuntimeError if it is gone.

    Sources that were edited meanwhile would else give a second one under the same code hash.
    """
    native.build.pin(path)
    if native.unavailable():
        raise RuntimeError(f"the native kernel of this sweep is gone: {native.unavailable()}")


def n_threads(job: Job) -> int:
    """Return the threads of a job's process.

    That is one for a training on the CPU, which runs beside others there, else all cores.
    """
    alone = job.kind != "quality" or job.device != "cpu"
    return available_cores() if alone else 1


def prepare(device_name: str, n_threads: int) -> Device:
    """Set every flag explicitly and open the device."""
    machine.set_flags(n_threads)
    return open_device(device_name)


def measure_time_of(job: Job, device: Device) -> dict[str, Any]:
    """Time the step: one process of the record's `time` part, and readings beside it."""
    step = build_step(job, device, keep_gradients=False)
    load = ForeignLoad()
    compiles = step.kernel in COMPILED_AT_FIRST_CALL
    measured = measure_time(step.parts, device, job.settings.time_budget_s, step.prepare, compiles)
    disturbed = load.disturbed()
    found = {"foreign_cores": load.foreign_cores(), **readings(device)}
    disturbed |= found.get("gpu_processes", 0) > 1
    part = {**measured, "disturbed": disturbed, "readings": found}
    return {"part": part, "kernel": step.kernel}


def measure_memory_of(job: Job, device: Device) -> dict[str, Any]:
    """Measure the peak of a step: the record's `memory` part."""
    map_large_blocks()
    step = build_step(job, device, keep_gradients=True)
    settings = job.settings
    is_long = settings.can_train and settings.length >= LONG
    warm_up = step.run_short if is_long else step.run
    part = measure_memory(step.run, device, step.parameters, step.optimizer, step.inputs, warm_up)
    return {"part": part, "kernel": step.kernel}


def measure_quality_of(job: Job, device: Device) -> dict[str, Any]:
    """Train and evaluate a model: the record's `quality` part."""
    settings = job.settings
    part = train_and_evaluate(settings, job.seed, device.type, job.data_path)
    return {"part": {**part, "threads": torch.get_num_threads()}, "kernel": ""}
