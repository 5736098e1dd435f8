"""What one job does in its own process: measure time, measure memory, or train and evaluate.
Imported by the fork server, so that torch is there when a job starts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

# 2 s, which the first optimizer of every process would otherwise spend
import torch._dynamo
from torch import Tensor

import reformer.kernels
from baselines.config import PEERS
from suites.engine.host import available_cores
from suites.engine.job import Job, Question
from suites.engine.measure import machine
from suites.engine.measure.build import (
    build_attention_call,
    build_model,
    build_optimizer,
    build_peer,
)
from suites.engine.measure.device import CPU, CUDA, map_large_blocks, open_device
from suites.engine.measure.memory import measure_memory
from suites.engine.measure.timing import measure_time
from suites.engine.measure.training import step_loss, train_and_evaluate
from suites.engine.sweep.prediction import predict_memory
from suites.tasks import load_task

AnyDevice = CPU | CUDA
# From LONG tokens on the memory pass warms up on the first SHORT of them.
LONG, SHORT = 2**18, 4096
COMPILED_AT_FIRST_CALL = ("compiled", "flex")


def probe(question: Question) -> dict[str, Any]:
    """What a sweep must know before it starts; a `refusal` instead where a device or data is
    missing.

    {"device": "auto" resolved, "kernel": of LSH attention where none is named, in words with why it
    is no faster one, "is_fallback", "identity": of the machine, "gflops": its speed}.
    """
    try:
        device = prepare(question.device, available_cores())
        for name in question.tasks:
            load_task(name, question.data.get(name), download=question.download)
    except (ValueError, OSError) as error:
        return {"refusal": str(error)}
    # the native kernel is compiled here, not within the first measurement
    kernel = reformer.kernels.pick("auto", torch.empty(0, device=device.type))
    fallback = reformer.kernels.fallback(torch.device(device.type))
    return {
        "device": device.type,
        "kernel": f"{kernel!r} ({fallback})" if fallback else repr(kernel),
        "is_fallback": bool(fallback),
        "identity": machine.identity(device),
        "gflops": machine.matmul_gflops(device),
    }


def run_job(job: Job) -> dict[str, Any]:
    """One job: {"part": the part of the record, "kernel": the attention that ran}."""
    device = prepare(job.device, n_threads(job))
    device.seed(job.seed)
    measure = {"time": measure_time_of, "memory": measure_memory_of, "quality": train}[job.kind]
    return measure(job, device)


def n_threads(job: Job) -> int:
    """Threads of a job's process: one for a training on the CPU, which runs beside others."""
    alone = job.kind != "quality" or job.device != "cpu"
    return available_cores() if alone else 1


def prepare(device_name: str, n_threads: int) -> AnyDevice:
    """The device, with every flag set explicitly."""
    machine.set_flags(n_threads)
    return open_device(device_name)


@dataclass(slots=True)
class Step:
    """One step of what is measured: parts to run in order, and what they hold."""

    parts: dict[str, Callable[[], object]]
    prepare: Callable[[], object]
    parameters: list[Tensor]
    inputs: list[Tensor]
    optimizer: torch.optim.Optimizer | None
    kernel: str

    def run(self) -> None:
        """All parts, in order."""
        for part in self.parts.values():
            part()

    def run_short(self) -> None:
        """The same on the first SHORT tokens of the batch: allocates gradients and optimizer state
        without the minutes of a step of a million.
        """
        whole = list(self.inputs)
        self.inputs[:] = [tensor[:, :SHORT] for tensor in whole]
        self.run()
        self.inputs[:] = whole


def training_step(job: Job, device: AnyDevice, keep_gradients: bool) -> Step:
    """A training step on real batches. keep_gradients: zeroed, not freed, after each step."""
    settings = job.settings
    task = load_task(settings.task, job.data_path)
    build = build_peer if settings.attention in PEERS else build_model
    model = build(settings, task.vocabulary, job.seed, device.type)
    optimizer = build_optimizer(settings, model)
    batches = task.train_batches(settings.length, settings.batch, job.seed)
    batch: list[Tensor] = []
    loss: list[Tensor] = []

    def draw() -> None:
        batch[:] = [tensor.to(device.type) for tensor in next(batches)]

    def forward() -> None:
        loss[:] = [step_loss(model, batch, settings)]

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad(set_to_none=not keep_gradients)

    draw()
    parts = {"forward": forward, "backward": lambda: loss.pop().backward(), "optimizer": update}
    return Step(parts, draw, list(model.parameters()), batch, optimizer, str(model.kernel))


def attention_step(job: Job, device: AnyDevice, keep_gradients: bool) -> Step:
    """One attention call on random inputs, and its backward pass under a random gradient."""
    settings = job.settings
    call, tensors = build_attention_call(settings, job.seed, device.type)
    generator = torch.Generator().manual_seed(job.seed + 1)  # not the inputs' own numbers
    gradient = torch.randn(tensors[0].shape, generator=generator).to(device.type)
    out: list[Tensor] = []

    def forward() -> None:
        out[:] = [call()]

    def clear() -> None:
        for tensor in tensors:
            if not keep_gradients:
                tensor.grad = None
            elif tensor.grad is not None:
                tensor.grad.zero_()

    parts = {"forward": forward, "backward": lambda: out.pop().backward(gradient)}
    kernel = settings.attention
    if kernel == "lsh":
        kernel = reformer.kernels.pick(settings.kernel, tensors[0])
    return Step(parts, clear, tensors, [gradient], None, kernel)


def build_step(job: Job, device: AnyDevice, keep_gradients: bool) -> Step:
    """The step of the settings' subject."""
    build = attention_step if job.settings.subject == "attention" else training_step
    return build(job, device, keep_gradients)


def measure_time_of(job: Job, device: AnyDevice) -> dict[str, Any]:
    """One process of the record's `time` part, and how the machine felt meanwhile."""
    step = build_step(job, device, keep_gradients=False)
    load = machine.ForeignLoad()
    compiles = step.kernel in COMPILED_AT_FIRST_CALL
    measured = measure_time(step.parts, device, job.settings.time_budget_s, step.prepare, compiles)
    disturbed = load.disturbed()
    readings = {"foreign_cores": round(load.reading()[0], 3), **machine.readings(device)}
    disturbed |= readings.get("gpu_processes", 0) > 1
    part = {**measured, "disturbed": disturbed, "readings": readings}
    return {"part": part, "kernel": step.kernel}


def measure_memory_of(job: Job, device: AnyDevice) -> dict[str, Any]:
    """The record's `memory` part."""
    map_large_blocks()
    step = build_step(job, device, keep_gradients=True)
    settings = job.settings
    is_long = settings.can_train and settings.length >= LONG
    warm_up = step.run_short if is_long else step.run
    part = measure_memory(step.run, device, step.parameters, step.optimizer, step.inputs, warm_up)
    return {
        "part": {**part, "predicted_bytes": predict_memory(settings).peak},
        "kernel": step.kernel,
    }


def train(job: Job, device: AnyDevice) -> dict[str, Any]:
    """The record's `quality` part."""
    settings = job.settings
    part = train_and_evaluate(settings, job.seed, device.type, job.data_path)
    return {"part": {**part, "threads": torch.get_num_threads()}, "kernel": ""}
