"""Memory is measured right, against tensors of known size, and predicted nearly so."""

import queue
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_results import reference_results

from baselines import attention
from reformer.kernels import blocked, triton
from suites.base import Case, unique
from suites.engine.job import Job
from suites.engine.measure import device, ruler, worker
from suites.engine.measure.device import CPU, Peak, sampled_peak
from suites.engine.measure.memory import LivePeak, measure_memory, storage_bytes
from suites.engine.sweep.planning import find_suites
from suites.engine.sweep.prediction import (
    BLOCK_LOGITS,
    SLICE,
    WIDEST_IN_TRITON,
    predict_memory,
    vocabulary_of,
    weights_of,
)
from suites.labels import labels
from suites.settings import Settings
from suites.tasks import load_task

BYTES_PER_FLOAT = 4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5000), st.booleans()), min_size=1, max_size=12))
def test_live_bytes_follow_every_birth_and_death(script: list[tuple[int, bool]]) -> None:
    alive: list[torch.Tensor] = []
    now = peak = 0
    with LivePeak() as live:
        for n, dies in script:
            alive.append(torch.ones(n))
            now += n * BYTES_PER_FLOAT
            peak = max(peak, now)
            view = alive[-1][: n // 2].view(-1)
            assert live.bytes == now, "a view is no storage"
            del view
            if dies:
                now -= alive.pop(0).numel() * BYTES_PER_FLOAT
            assert (live.bytes, live.peak_bytes) == (now, peak)


def test_tensors_that_autograd_keeps_are_alive() -> None:
    n, depth = 1000, random.randint(3, 9)
    x = torch.randn(n, requires_grad=True)
    with LivePeak([x]) as live:
        y = x
        for _ in range(depth):
            y = y.sigmoid()
        assert live.bytes == (depth + 1) * n * BYTES_PER_FLOAT
        y.sum().backward()
        del y
    assert live.peak_bytes >= (depth + 1) * n * BYTES_PER_FLOAT
    assert live.bytes == 2 * n * BYTES_PER_FLOAT, "x and its gradient"


def test_a_storage_counts_once() -> None:
    x = torch.zeros(100)
    assert storage_bytes([x, x[:10], x.view(10, 10), torch.zeros(5)]) == 105 * BYTES_PER_FLOAT


def test_the_peak_is_split_into_what_is_known() -> None:
    torch.manual_seed(0)
    d, n = 300, 500
    model = torch.nn.Linear(d, d, bias=False)
    optimizer = torch.optim.AdamW(model.parameters())
    x = torch.randn(n, d)

    def step() -> None:
        model(x).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    found = measure_memory(step, CPU(), model.parameters(), optimizer, [x])
    assert found["weights_bytes"] == found["gradients_bytes"] == d * d * BYTES_PER_FLOAT
    assert found["optimizer_bytes"] == 2 * d * d * BYTES_PER_FLOAT + BYTES_PER_FLOAT
    parts = ("weights_bytes", "gradients_bytes", "optimizer_bytes", "rest_bytes")
    assert found["peak_bytes"] == sum(found[part] for part in parts)
    # output, its square and the two gradients, n x d each, are not all alive at once
    assert (
        2 * n * d * BYTES_PER_FLOAT
        <= found["live_rest_bytes"]
        <= 4 * n * d * BYTES_PER_FLOAT + 2 * d * d * BYTES_PER_FLOAT
    )
    known = sum(found[part] for part in parts[:3]) + n * d * BYTES_PER_FLOAT
    assert found["live_peak_bytes"] == known + found["live_rest_bytes"]


def test_a_wrong_high_water_mark_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def sleepy_sampler(self: CPU) -> Iterator[Peak]:
        """See of a spike of 5 ms what a sampler every 30 ms would."""
        peak = Peak("vmhwm", baseline=device.status_bytes("VmRSS"))
        yield peak
        peak.peak = device.status_bytes("VmRSS")

    monkeypatch.setattr(CPU, "watch_peak", sleepy_sampler)
    by_process, by_tensors = ruler.check_spike()
    assert not by_process[2]
    assert by_tensors[2]


class Sampled(psutil.Process):
    """This process tells when its memory was sampled."""

    samples: ClassVar[queue.Queue[None]]

    def memory_info(self) -> Any:
        found = super().memory_info()
        self.samples.put(None)
        return found


def test_sampling_sees_what_lives_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block lives long enough once the sampler has come by, which a busy machine may hold up."""
    monkeypatch.setattr(Sampled, "samples", queue.Queue(), raising=False)
    monkeypatch.setattr(device.psutil, "Process", Sampled)
    with sampled_peak() as peak:
        tensor = ruler.tensor_of(64 * ruler.BYTES_PER_MIB)
        while not Sampled.samples.empty():
            Sampled.samples.get()
        for _ in range(2):  # the first may have been taken before
            Sampled.samples.get(timeout=60)
        del tensor
    assert peak.method == "sampled"
    assert peak.peak - peak.baseline == pytest.approx(64 * ruler.BYTES_PER_MIB, rel=0.05)


@pytest.mark.parametrize("file", ["/nowhere", "/"])
def test_without_the_kernels_mark_memory_is_sampled(
    monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """The file of the mark may be missing, or may not be written."""
    monkeypatch.setattr(device, "CLEAR_REFS", Path(file))
    assert measure_memory(lambda: torch.ones(10), CPU(), [])["method"] == "sampled"


def measured_and_predicted(one: Settings) -> tuple[int, int]:
    job = Job(case_id="x", kind="memory", index=0, seed=0, settings=one, device="cpu")
    step = worker.build_step(job, CPU(), keep_gradients=True)
    found = measure_memory(step.run, CPU(), step.parameters, step.optimizer, step.inputs)
    predicted = predict_memory(one)
    # a peer's weights are its own
    if one.can_train:
        assert predicted.weights == found["weights_bytes"]
        assert predicted.gradients == found["gradients_bytes"]
    return found["live_peak_bytes"], predicted.peak


QUICK = unique(
    [case for suite in find_suites().values() for case in suite.presets.get("quick", [])]
)


@pytest.mark.parametrize("case", QUICK, ids=labels([c.settings.measured() for c in QUICK]))
def test_the_predicted_peak_of_quick_cases_is_within_30_percent(case: Case) -> None:
    if case.skip:
        pytest.skip(case.skip)
    measured, predicted = measured_and_predicted(case.settings)
    assert predicted == pytest.approx(measured, rel=0.3)


@pytest.mark.parametrize(
    "changes",
    [
        {"attention": "naive", "reversible": True, "length": 512},
        {"attention": "memory_efficient", "reversible": True, "n_heads": 4},
        {"attention": "lsh", "reversible": False, "n_layers": 4},
        {"attention": "sdpa", "optimizer": "adafactor", "axial_positions": (16, 32)},
        {"attention": "lsh", "kernel": "blocked", "batch": 2},
    ],
    ids=str,
)
def test_the_predicted_peak_follows_the_settings(changes: dict[str, object]) -> None:
    given_settings = {"length": 256, "d_model": 64, "d_ff": 256, "n_heads": 2, **changes}
    measured, predicted = measured_and_predicted(Settings(**given_settings))
    assert predicted == pytest.approx(measured, rel=0.3)


def test_the_predicted_peak_of_calls_on_a_gpu_is_the_measured_one() -> None:
    """Those measured so far are in bfloat16, of heads of width 64."""
    n_compared = 0
    for record, one in reference_results("gpu-*"):
        if record["memory"] and one.in_chunks:
            predicted = predict_memory(one, "cuda").peak
            assert predicted == pytest.approx(record["memory"]["live_peak_bytes"], rel=0.001)
            n_compared += 1
    assert n_compared >= 10


def test_the_prediction_knows_what_the_code_knows() -> None:
    assert SLICE == attention.SLICE
    assert BLOCK_LOGITS == blocked.BLOCK_LOGITS
    assert WIDEST_IN_TRITON == triton.WIDEST
    for task in ("enwiki-head", "duplication", "recall", "photos64"):
        assert vocabulary_of(task) == load_task(task).vocabulary
    assert weights_of(Settings())[0] > 0
