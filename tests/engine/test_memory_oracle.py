"""The memory of a step is split by hand: a planted device, layers and optimizers of known size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suites.engine.job import Job
from suites.engine.measure import memory
from suites.engine.measure.device import CPU, Peak
from suites.engine.measure.memory import LivePeak, measure_memory
from suites.engine.measure.steps import build_step
from suites.settings import Settings

BYTES_PER_FLOAT = 4


class PlantedDevice(CPU):
    """This device's process has a peak as planted; it notes when it was watched."""

    def __init__(self, baseline: int, peak: int, kind: str = "cpu") -> None:
        self.baseline, self.peak, self.type = baseline, peak, kind
        self.events: list[str] = []

    @contextmanager
    def watch_peak(self) -> Iterator[Peak]:
        self.events.append("begin")
        found = Peak("planted", self.baseline)
        yield found
        found.peak = self.peak
        found.reserved = 777 if self.type == "cuda" else None
        self.events.append("end")


def layer_with_gradients(optimizer: str) -> tuple[nn.Linear, torch.optim.Optimizer | None]:
    model = nn.Linear(30, 50)
    make = {"adamw": torch.optim.AdamW, "adafactor": torch.optim.Adafactor}.get(optimizer)
    return model, make(model.parameters()) if make else None


@pytest.mark.parametrize(
    ("optimizer", "state"),
    [
        ("none", 0),
        # two moments of each weight, and the number of steps of both tensors
        ("adamw", 2 * (30 * 50 + 50) + 2),
        # a row and a column of the matrix, all of the vector, and the number of steps of both
        ("adafactor", 30 + 50 + 50 + 2),
    ],
)
@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_the_peak_is_split_by_hand(optimizer: str, state: int, kind: str) -> None:
    """On the CPU the process holds much besides: only what the step adds to it counts."""
    model, optimize = layer_with_gradients(optimizer)
    x = torch.randn(20, 30)
    device = PlantedDevice(baseline=10**9, peak=10**9 + 4321, kind=kind)

    def step() -> None:
        device.events.append("step")
        model(x).sum().backward()
        if optimize:
            optimize.step()
            optimize.zero_grad(set_to_none=False)

    found = measure_memory(step, device, model.parameters(), optimize, [x])
    assert device.events == ["step", "begin", "step", "end"], "a warm-up comes before"
    n = 30 * 50 + 50
    parts = {
        "weights_bytes": n * BYTES_PER_FLOAT,
        "gradients_bytes": n * BYTES_PER_FLOAT,
        "optimizer_bytes": state * BYTES_PER_FLOAT,
        "rest_bytes": 4321,
    }
    assert {name: found[name] for name in parts} == parts
    assert (found["baseline_bytes"], found["method"]) == (10**9, "planted")
    assert found["peak_bytes"] == (10**9 + 4321 if kind == "cuda" else sum(parts.values()))
    assert found.get("reserved_bytes") == (777 if kind == "cuda" else None)
    assert found["live_peak_bytes"] - found["live_rest_bytes"] == (
        sum(parts.values()) - 4321 + 20 * 30 * BYTES_PER_FLOAT
    ), "weights, gradients, state and input live through the step"


def test_a_peak_below_the_baseline_is_nothing() -> None:
    found = measure_memory(lambda: None, PlantedDevice(baseline=5000, peak=4000), [])
    assert (found["rest_bytes"], found["peak_bytes"]) == (0, 0)
    assert (found["live_rest_bytes"], found["live_peak_bytes"]) == (0, 0)


def test_another_warm_up_takes_the_place_of_the_step() -> None:
    ran: list[str] = []
    device = PlantedDevice(0, 0)
    measure_memory(lambda: ran.append("step"), device, [], warm_up=lambda: ran.append("short"))
    assert ran == ["short", "step"]


def test_the_live_peak_is_that_of_the_step_alone() -> None:
    """The warm-up's own peak, ten times as high, is not in it; what dies in between is."""

    def warm_up() -> None:
        torch.zeros(10_000)

    def step() -> Tensor:
        a = torch.zeros(600)
        b = torch.zeros(400)  # 1,000 alive
        del a
        c = torch.zeros(500)  # 900
        del b
        return c

    weight = torch.zeros(70)
    found = measure_memory(step, PlantedDevice(0, 0), [weight], warm_up=warm_up)
    assert found["live_rest_bytes"] == 1000 * BYTES_PER_FLOAT
    assert found["live_peak_bytes"] == 1070 * BYTES_PER_FLOAT


def test_weights_that_share_a_storage_and_those_without_gradient_count_once() -> None:
    shared = nn.Parameter(torch.zeros(100))
    frozen = nn.Parameter(torch.zeros(40), requires_grad=False)
    tied = nn.Parameter(shared.detach()[:60])
    shared.grad = torch.zeros(100)
    found = measure_memory(lambda: None, PlantedDevice(0, 0), iter([shared, frozen, tied]))
    assert found["weights_bytes"] == 140 * BYTES_PER_FLOAT
    assert found["gradients_bytes"] == 100 * BYTES_PER_FLOAT


@pytest.mark.parametrize("shape", [(64,), (8, 16)])
def test_dtypes_and_operations_in_place_count_by_their_bytes(shape: tuple[int, ...]) -> None:
    n = torch.Size(shape).numel()
    with LivePeak() as live:
        half = torch.zeros(shape, dtype=torch.float16)
        double = torch.zeros(shape, dtype=torch.float64)
        assert live.bytes == 10 * n
        double.add_(1)
        half.mul_(2)
        assert (live.bytes, live.peak_bytes) == (10 * n, 10 * n)


@pytest.mark.parametrize("attention", ["lsh", "sdpa"])
@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_weights_gradients_and_state_of_a_model_are_counted_by_hand(
    attention: str, optimizer: str
) -> None:
    """Every weight of the model counts: embedding, positions, layers, norms and output."""
    settings = Settings(
        attention=attention,
        optimizer=optimizer,
        task="duplication",
        length=64,
        d_model=16,
        d_ff=40,
        n_heads=2,
        n_layers=3,
        bucket_size=8,
    )
    job = Job(case_id="x", kind="memory", index=0, seed=0, settings=settings, device="cpu")
    step = build_step(job, CPU(), keep_gradients=True)
    found: dict[str, Any] = measure_memory(
        step.run, PlantedDevice(0, 0), step.parameters, step.optimizer, step.inputs
    )
    n_projections = 3 if attention == "lsh" else 4  # shared QK has one less
    matrices = 3 * [*[(16, 16)] * n_projections, (16, 40), (40, 16)]
    matrices += [(128, 16), (64, 16), (16, 128)]
    vectors = 3 * [16, 16, 16, 16, 40, 16] + [16, 16, 128]
    n = sum(a * b for a, b in matrices) + sum(vectors)
    assert found["weights_bytes"] == found["gradients_bytes"] == n * BYTES_PER_FLOAT
    n_tensors = len(matrices) + len(vectors)
    state = 2 * n if optimizer == "adamw" else sum(a + b for a, b in matrices) + sum(vectors)
    assert found["optimizer_bytes"] == (state + n_tensors) * BYTES_PER_FLOAT
    assert len(memory.optimizer_tensors(step.optimizer)) > n_tensors
    batch_bytes = 2 * 64 * 8  # int64 tokens and targets
    known = found["weights_bytes"] + found["gradients_bytes"] + found["optimizer_bytes"]
    assert found["live_peak_bytes"] == known + batch_bytes + found["live_rest_bytes"]
