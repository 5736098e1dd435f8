"""This sees from outside what the engine builds and runs for a case.

Nothing here reads a config: hooks see which modules, kernels and optimizers run, on what and in
which precision; the rest is what the jobs report.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import own_attention
import pytest
import torch
from findings import part_of
from sweeps import plan_of
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.optim.optimizer import register_optimizer_step_pre_hook

from baselines.attention import ATTEND
from reformer import kernels
from suites.engine.job import Job
from suites.engine.measure import timing, worker
from suites.engine.measure.device import CPU
from suites.engine.sweep.growth import stopped_by
from suites.engine.sweep.planning import jobs_of
from suites.settings import Settings

Seen = dict[str, Any]
PEER_PACKAGES = {"reformer_pytorch": "reformer-pytorch", "transformers": "transformers"}


class Clock(CPU):
    """Every mark moves this clock on, so that budgets end, and no two steps in a row take the same.

    Its unsteady steps never stop a timing early.
    """

    n, now_s = 0, 0.0

    def mark(self) -> int:
        self.n += 1
        self.now_s += 1e-3 * (1 + self.n % 7)
        return int(1e9 * self.now_s)

    def monotonic(self) -> float:
        return self.now_s


def see(settings: Settings) -> Seen:
    """Run each kind of job that the engine makes of these settings, and tell what is seen."""
    plan = plan_of([settings])
    plan.seeds = [0, 1]
    [(case_id, entry)] = plan.entries.items()
    assert not entry.case.skip, entry.case.skip
    jobs = jobs_of(case_id, entry.case, plan, data={})
    seen: Seen = {"jobs": [(job.kind, job.index, job.seed) for job in jobs]}
    first = {job.kind: job for job in reversed(jobs)}
    watched = Watched()
    with watched.watching():
        if "time" in first:
            watched.kind = "time"
            found = time_of(first["time"])
            seen |= {"samples": len(found["samples_ms"]["step"]), "parts": list(found["first_ms"])}
            # three processes whose medians differ by 2 %
            scattered = [timed(ms) for ms in (0.98, 1.0, 1.02)]
            seen["grown until"] = stopped_by(scattered, settings)
        if "memory" in first:
            watched.kind = "memory"
            seen |= memory_of(first["memory"])
        if "quality" in first:
            watched.kind = "quality"
            seen |= quality_of(first["quality"]) | watched.trained()
        watched.kind = "step"
        seen |= one_step(jobs[0])
    return seen | watched.seen()


def timed(ms: float) -> Seen:
    return part_of("time", samples_ms={"step": [ms]})


def time_of(job: Job) -> dict[str, Any]:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "time", SimpleNamespace(monotonic=clock.monotonic))
        found: dict[str, Any] = worker.measure_time_of(job, clock)["part"]
    return found


def memory_of(job: Job) -> Seen:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "map_large_blocks", lambda: None)  # for the rest of the process
        part = worker.measure_memory_of(job, CPU())["part"]
    return {
        "peak": part["live_peak_bytes"],
        "weights": part["weights_bytes"],
        "optimizer state": part["optimizer_bytes"],
    }


def quality_of(job: Job) -> Seen:
    part = worker.measure_quality_of(job, CPU())["part"]
    return {
        "bits": part["bits_per_dim"],
        "curve": [step for step, _ in part["curve"]],
        "other rounds": {"as trained": part["bits_per_dim"]}
        | {n: found["bits_per_dim"] for n, found in part["evaluated_with"].items()},
        "analyses": part["analyses"],
        "counted tokens": part["heldout_tokens"],
        "train tokens": part["train_tokens"],
        "data": part["data"]["name"],
    }


def one_step(job: Job) -> Seen:
    """Run one step, forward and backward, and tell what it computes."""
    torch.manual_seed(job.seed)
    step = worker.build_step(job, CPU(), keep_gradients=True)
    step.parts["forward"]()
    step.parts["backward"]()
    gradients = [p.grad.flatten() for p in step.parameters if p.grad is not None]
    return {
        "inputs": torch.stack([tensor.float() for tensor in step.inputs]),
        "gradients": torch.cat(gradients).float(),
        "type of gradients": gradients[0].dtype,
        "kernel": step.kernel,
    }


class Watched:
    """Hooks note here what runs, by the kind of job that runs meanwhile."""

    def __init__(self) -> None:
        self.kind = ""
        self.ran: dict[str, set[str]] = defaultdict(set)
        self.dtypes: dict[tuple[str, str], set[torch.dtype]] = defaultdict(set)
        self.optimizers: dict[str, set[str]] = defaultdict(set)
        self.n_linear = 0
        self.rates: dict[str, list[float]] = defaultdict(list)
        self.windows: dict[str, list[tuple[int, ...]]] = {"training": [], "evaluation": []}

    def seen(self) -> Seen:
        """Tell what all kinds of jobs have, by name."""
        return {
            "ran": dict(self.ran),
            "dtypes": dict(self.dtypes),
            "optimizers": dict(self.optimizers),
            "linear calls": self.n_linear,
        }

    def trained(self) -> Seen:
        """Tell what only a case that is trained has, by name."""
        return {
            "rates": torch.tensor(self.rates["quality"], dtype=torch.float64),
            "rates of measured steps": {*self.rates["time"], *self.rates["memory"]},
            "windows": self.windows["training"],
            "held-out windows": self.windows["evaluation"],
        }

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch every module, optimizer and attention of this process."""
        hooks = [
            register_module_forward_hook(self.module),
            register_optimizer_step_pre_hook(self.step),
        ]
        with pytest.MonkeyPatch.context() as patch:
            for name, kernel in kernels.KERNELS.items():
                patch.setattr(kernel, "attend", self.noting(name, kernel.attend))
            for name, attend in ATTEND.items():
                patch.setitem(ATTEND, name, self.noting(name, attend))
            own = self.noting("own_attention:average", own_attention.average)
            patch.setattr(own_attention, "average", own)
            yield
        for hook in hooks:
            hook.remove()

    def noting(self, name: str, attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def noted(*arguments: Any) -> Tensor:
            self.ran[self.kind].add(name)
            return attend(*arguments)

        return noted

    def module(self, module: nn.Module, arguments: tuple[Any, ...], out: Any) -> None:
        package = type(module).__module__.split(".")[0]
        if package in PEER_PACKAGES:
            self.ran[self.kind].add(PEER_PACKAGES[package])
        mode = "training" if module.training else "evaluation"
        if isinstance(module, nn.Linear):
            self.dtypes[self.kind, mode].add(out.dtype)
            self.n_linear += self.kind == "step"
        if isinstance(module, nn.Embedding) and self.kind == "quality":
            self.windows[mode].append(tuple(arguments[0].shape))

    def step(self, optimizer: torch.optim.Optimizer, *arguments: Any) -> None:
        self.optimizers[self.kind].add(type(optimizer).__name__)
        self.rates[self.kind].append(optimizer.param_groups[0]["lr"])
