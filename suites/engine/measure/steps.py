"""A step is what is measured, as parts to run in order: a training step, or one attention call."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import reformer.kernels
from baselines.config import PEERS
from suites.effects import OURS
from suites.engine.job import Job
from suites.engine.measure.build import (
    build_attention_call,
    build_model,
    build_optimizer,
    build_peer,
)
from suites.engine.measure.device import Device
from suites.engine.measure.graphs import in_graphs
from suites.engine.measure.training import step_loss
from suites.tasks import load_task

SHORT = 4096  # tokens of a step that only warms up


@dataclass(slots=True)
class Step:
    """A step has parts to run in order, and what they hold.

    prepare: runs before each step, untimed. inputs: what lives through the step besides parameters.
    kernel: the attention that runs.
    """

    parts: dict[str, Callable[[], object]]
    prepare: Callable[[], object]
    parameters: list[Tensor]
    inputs: list[Tensor]
    optimizer: torch.optim.Optimizer | None
    kernel: str

    def run(self) -> None:
        """Run all parts in order."""
        for part in self.parts.values():
            part()

    def run_short(self) -> None:
        """Run all parts on the first SHORT tokens of the batch.

        This allocates gradients and optimizer state without the minutes of a step of a million
        tokens.
        """
        whole = list(self.inputs)
        self.inputs[:] = [tensor[:, :SHORT] for tensor in whole]
        self.run()
        self.inputs[:] = whole


def training_step(job: Job, device: Device, keep_gradients: bool) -> Step:
    """Make a training step on real batches.

    keep_gradients: they are zeroed, not freed, after each step.
    """
    settings = job.settings
    task = load_task(settings.task, job.data_path, n_pairs=settings.n_pairs)
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


def attention_step(job: Job, device: Device, keep_gradients: bool) -> Step:
    """Make a step of one attention call on random inputs and its backward pass.

    The backward pass starts from a random gradient. keep_gradients: as in `training_step`.
    """
    settings = job.settings
    call, tensors = build_attention_call(settings, job.seed, device.type)
    generator = torch.Generator().manual_seed(job.seed + 1)  # not the inputs' own numbers
    gradient = torch.randn(tensors[0].shape, generator=generator).to(tensors[0])
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
    if settings.cuda_graph:
        parts = in_graphs(call, tensors, gradient)
    kernel = settings.attention
    if kernel in OURS:
        kernel = reformer.kernels.pick(settings.kernel, tensors[0])
    return Step(parts, clear, tensors, [gradient], None, kernel)


def build_step(job: Job, device: Device, keep_gradients: bool) -> Step:
    """Build the step of the settings' subject."""
    build = attention_step if job.settings.subject == "attention" else training_step
    return build(job, device, keep_gradients)
