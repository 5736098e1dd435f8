"""CUDA's logic is tested on the CPU with a recorded stand-in, and on a GPU for real."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from suites.engine.failures import failure_of_error
from suites.engine.job import Job
from suites.engine.measure.device import CPU, CUDA, open_device, sampled_peak
from suites.engine.measure.graphs import in_graphs
from suites.engine.measure.readings import measured_gpu
from suites.engine.measure.steps import build_step
from suites.engine.sweep.executors.local import RUN_JOB, run_in_process
from suites.settings import Settings

BYTES_PER_MIB = 2**20


class Event:
    def __init__(self, log):
        self.log, self.at = log, None

    def record(self):
        self.at = len(self.log) * 1.5
        self.log.append("record")

    def synchronize(self):
        self.log.append("wait for event")

    def elapsed_time(self, other):
        assert "wait for event" in self.log, "an event was read before the device was waited for"
        return other.at - self.at


class FakeCuda:
    """This is torch.cuda as far as CUDA uses it; it writes down what is asked of it."""

    def __init__(self):
        self.log = []

    def Event(self, enable_timing):
        assert enable_timing
        return Event(self.log)

    def __getattr__(self, name):
        answers = {"memory_allocated": 10, "max_memory_allocated": 30, "max_memory_reserved": 40}

        def call(*arguments):
            self.log.append(name)
            return answers.get(name)

        return call


def test_marks_are_events_and_the_last_is_waited_for_once():
    cuda = FakeCuda()
    device = CUDA(cuda)
    marks = [device.mark() for _ in range(3)]
    assert cuda.log == ["record"] * 3
    assert device.elapsed_ms(marks) == [1.5, 1.5]
    assert cuda.log.count("wait for event") == 1


def test_peaks_are_the_allocators_reset_before_and_read_after_the_work():
    cuda = FakeCuda()
    with CUDA(cuda).watch_peak() as peak:
        assert cuda.log == [
            "synchronize",
            "empty_cache",
            "reset_peak_memory_stats",
            "memory_allocated",
        ]
        cuda.log.clear()
    assert cuda.log == ["synchronize", "max_memory_allocated", "max_memory_reserved"]
    assert (peak.method, peak.baseline, peak.peak, peak.reserved) == ("allocator", 10, 30, 40)


def test_both_generators_are_seeded():
    cuda = FakeCuda()
    CUDA(cuda).seed(3)
    first = torch.rand(4)
    CUDA(cuda).seed(3)
    assert torch.equal(first, torch.rand(4))
    assert cuda.log == ["manual_seed_all"] * 2


def test_sampling_sees_what_stays_for_a_while():
    with sampled_peak() as peak:
        block = torch.randn(32 * BYTES_PER_MIB // 4)
        block.sum()
    assert peak.method == "sampled"
    assert peak.peak - peak.baseline >= 30 * BYTES_PER_MIB


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_a_sentence():
    with pytest.raises(ValueError, match="use --device cpu"):
        open_device("cuda")
    assert open_device("auto").type == "cpu"


@pytest.mark.parametrize("name", ["cpuu", "gpu"])
def test_an_unknown_device_names_the_legal_ones(name):
    with pytest.raises(ValueError, match="legal: auto, cpu, cuda"):
        open_device(name)


class FakeNvml:
    def nvmlDeviceGetHandleByUUID(self, uuid):
        return uuid


@pytest.mark.parametrize(
    ("properties", "expected"),
    [(SimpleNamespace(uuid="12-ab"), "GPU-12-ab")],
)
def test_readings_are_of_the_gpu_that_is_measured(monkeypatch, properties, expected):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: properties)
    assert measured_gpu(FakeNvml()) == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("attention", ["lsh", "sdpa"])
def test_a_case_is_measured_on_cuda(tmp_path, attention):
    """Every kind of job runs in a fresh process of the fork server, which has not touched CUDA."""
    settings = Settings(
        attention=attention, d_model=64, d_ff=128, n_heads=2, train_steps=2, heldout_tokens=1024
    )
    for kind, part in (("time", "samples_ms"), ("memory", "reserved_bytes"), ("quality", "curve")):
        job = Job(case_id="x", kind=kind, index=0, seed=0, settings=settings, device="cuda")
        outcome = run_in_process(RUN_JOB, job, log=tmp_path / "log.txt", limit_memory=False)
        assert outcome.failure is None
        assert part in outcome.result["part"]
    call = replace(settings, subject="attention", measures=("time",), cuda_graph=True)
    job = Job(case_id="x", kind="time", index=0, seed=0, settings=call, device="cuda")
    outcome = run_in_process(RUN_JOB, job, log=tmp_path / "log.txt", limit_memory=False)
    assert outcome.failure is None
    assert set(outcome.result["part"]["samples_ms"]) == {"forward", "backward", "step"}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_replays_compute_what_was_captured():
    """The GPU itself counts the passes: three before the capture, none while it is made."""
    counts = {name: torch.zeros((), device="cuda") for name in ("forward", "backward")}

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            counts["forward"].add_(1)
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            counts["backward"].add_(1)
            return 2 * grad

    x = torch.randn(64, device="cuda", requires_grad=True)
    parts = in_graphs(lambda: Counted.apply(x), [x], torch.randn(64, device="cuda"))
    assert {name: int(count) for name, count in counts.items()} == {"forward": 3, "backward": 3}
    for part in ("forward", "forward", "backward"):
        parts[part]()
    assert {name: int(count) for name, count in counts.items()} == {"forward": 5, "backward": 4}


def test_only_the_time_of_a_call_is_taken_from_cuda_graphs():
    with pytest.raises(ValueError, match="of a call in CUDA graphs only the time"):
        Settings(subject="attention", cuda_graph=True, measures=("time", "memory"))


def test_cuda_graphs_take_a_gpu():
    call = Settings(subject="attention", measures=("time",), cuda_graph=True, length=64)
    job = Job(case_id="x", kind="time", index=0, seed=0, settings=call, device="cpu")
    with pytest.raises(ValueError, match="use --device cuda"):
        build_step(job, CPU(), keep_gradients=False)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_out_of_memory_on_cuda_is_told_as_such():
    with pytest.raises(torch.OutOfMemoryError) as error:
        torch.empty(2**44, dtype=torch.uint8, device="cuda")
    status, reason = failure_of_error(error.value)
    assert status == "oom"
    assert "bytes asked for" in reason


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_for_real():
    device = open_device("cuda")
    with device.watch_peak() as peak:
        block = torch.randn(64 * BYTES_PER_MIB // 4, device="cuda")
        del block
    assert peak.peak - peak.baseline == pytest.approx(64 * BYTES_PER_MIB, rel=0.02)
    x = torch.randn(2048, 2048, device="cuda")
    marks = [device.mark()]
    for _ in range(20):
        x = x @ x / 2048
    marks.append(device.mark())
    (ms,) = device.elapsed_ms(marks)
    assert ms > 0.1
