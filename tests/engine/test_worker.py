"""A job's process passes on what it was given, in order: parts are planted, the wiring is real."""

from dataclasses import replace
from inspect import signature
from typing import Any

import pytest
import torch

from suites.engine.job import Job
from suites.engine.measure import worker
from suites.engine.measure.device import CPU
from suites.engine.measure.steps import Step
from suites.engine.measure.timing import measure_time
from suites.settings import Settings

SETTINGS = Settings(
    length=64, d_model=16, d_ff=32, n_heads=2, n_layers=1, bucket_size=8, task="duplication"
)


def job_of(kind: str, **changes: Any) -> Job:
    settings = replace(SETTINGS, **changes)
    return Job(case_id="x", kind=kind, index=1, seed=9, settings=settings, device="cpu")


class Planted:
    """Planted parts of a worker note when they ran, and what they were given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kernel: str = "plain") -> None:
        self.events: list[str] = []
        self.given: dict[str, Any] = {}
        self.gpu_processes, self.is_disturbed = 1, False
        self.step = Step({}, self.prepare, [torch.zeros(3)], [torch.ones(2)], None, kernel)
        for name in ("build_step", "measure_time", "measure_memory", "readings", "ForeignLoad"):
            monkeypatch.setattr(worker, name, getattr(self, name))
        monkeypatch.setattr(worker, "map_large_blocks", lambda: self.events.append("map"))

    def prepare(self) -> None:
        raise AssertionError("not to be called here")

    def build_step(self, job: Job, device: Any, keep_gradients: bool) -> Step:
        self.events.append("build")
        self.given["keep_gradients"] = keep_gradients
        return self.step

    def measure_time(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        self.events.append("measure")
        self.given |= signature(measure_time).bind(*arguments, **named).arguments
        return {"samples_ms": {"step": [1.0]}}

    def measure_memory(self, *arguments: Any) -> dict[str, Any]:
        self.events.append("measure")
        self.given["memory"] = arguments
        return {"peak_bytes": 1}

    def readings(self, device: Any) -> dict[str, Any]:
        self.events.append("readings")
        return {"load": 0.5, "gpu_processes": self.gpu_processes}

    def ForeignLoad(self) -> "Planted":
        self.events.append("watch")
        return self

    def disturbed(self) -> bool:
        self.events.append("look")
        return self.is_disturbed

    def foreign_cores(self) -> float:
        return 0.125


def test_a_timing_is_watched_from_its_start_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = Planted(monkeypatch)
    found = worker.measure_time_of(job_of("time", time_budget_s=3.5), CPU())
    assert planted.events == ["build", "watch", "measure", "look", "readings"]
    given = planted.given
    assert given["prepare"] == planted.prepare
    assert given["parts"] is planted.step.parts
    assert (given["budget_s"], given["keep_gradients"]) == (3.5, False)
    assert found["kernel"] == "plain"
    part = found["part"]
    assert part["samples_ms"] == {"step": [1.0]}
    assert part["readings"] == {"foreign_cores": 0.125, "load": 0.5, "gpu_processes": 1}


@pytest.mark.parametrize(
    ("load", "gpu_processes", "expected"),
    [(False, 0, False), (False, 1, False), (True, 1, True), (False, 2, True), (True, 2, True)],
)
def test_a_timing_is_disturbed_by_load_or_by_another_process_on_the_gpu(
    monkeypatch: pytest.MonkeyPatch, load: bool, gpu_processes: int, expected: bool
) -> None:
    """One process on the GPU is this one."""
    planted = Planted(monkeypatch)
    planted.is_disturbed, planted.gpu_processes = load, gpu_processes
    assert worker.measure_time_of(job_of("time"), CPU())["part"]["disturbed"] is expected


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [("compiled", True), ("flex", True), ("native", False), ("plain", False), ("sdpa", False)],
)
def test_kernels_that_compile_at_their_first_call_say_so(
    monkeypatch: pytest.MonkeyPatch, kernel: str, expected: bool
) -> None:
    planted = Planted(monkeypatch, kernel)
    worker.measure_time_of(job_of("time"), CPU())
    assert planted.given["compiles"] is expected


@pytest.mark.parametrize(
    ("changes", "short"),
    [
        ({"length": 64}, False),
        ({"length": 128}, True),
        ({"length": 192}, True),
        ({"length": 128, "subject": "attention", "measures": ("memory",)}, False),
        ({"length": 128, "attention": "transformers", "measures": ("memory",)}, False),
    ],
    ids=str,
)
def test_memory_of_a_long_training_step_warms_up_on_a_short_piece(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], short: bool
) -> None:
    """Large blocks are mapped apart before anything is built; gradients are kept allocated."""
    planted = Planted(monkeypatch)
    monkeypatch.setattr(worker, "LONG", 128)
    found = worker.measure_memory_of(job_of("memory", **changes), CPU())
    assert planted.events == ["map", "build", "measure"]
    step = planted.step
    run, _, parameters, optimizer, inputs, warm_up = planted.given["memory"]
    assert (run, warm_up) == (step.run, step.run_short if short else step.run)
    assert parameters is step.parameters
    assert inputs is step.inputs
    assert optimizer is None
    assert planted.given["keep_gradients"] is True
    assert found == {"part": {"peak_bytes": 1}, "kernel": "plain"}


@pytest.mark.parametrize("kind", ["time", "memory", "quality"])
def test_a_job_seeds_and_prepares_its_process_before_it_measures(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """It says what it found, on what, with which versions, and how fast the machine was after."""
    events: list[Any] = []

    def measured(found_kind: str) -> Any:
        def measure(job: Job, device: Any) -> dict[str, Any]:
            events.append((found_kind, torch.initial_seed(), device.type))
            return {"part": {"of": found_kind}, "kernel": "planted"}

        return measure

    def prepare(device_name: str, n_threads: int) -> CPU:
        events.append(("prepare", n_threads))
        return CPU()

    def speed(device: Any, precision: str) -> float:
        assert precision == "float32"
        events.append("speed")
        return 12.5

    for name in ("time", "memory", "quality"):
        monkeypatch.setattr(worker, f"measure_{name}_of", measured(name))
    monkeypatch.setattr(worker, "prepare", prepare)
    monkeypatch.setattr(worker, "available_cores", lambda: 6)
    monkeypatch.setattr(worker.machine, "matmul_gflops", speed)
    monkeypatch.setattr(worker.machine, "identity", lambda device: {"machine": "planted"})
    monkeypatch.setattr(worker, "versions_of", lambda settings, path: {"a": "1"})
    found = worker.run_job(job_of(kind))
    threads = 1 if kind == "quality" else 6
    assert events == [("prepare", threads), (kind, 9, "cpu"), "speed"]
    assert found["part"] == {"of": kind}
    assert (found["kernel"], found["gflops"], found["versions"]) == ("planted", 12.5, {"a": "1"})
    assert found["identity"] == {"machine": "planted"}


def test_a_training_says_its_threads_and_is_of_the_jobs_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Any] = []

    def train_and_evaluate(*arguments: Any) -> dict[str, Any]:
        given.extend(arguments)
        return {"bits_per_dim": 2.0}

    monkeypatch.setattr(worker, "train_and_evaluate", train_and_evaluate)
    job = replace(job_of("quality"), data_path="somewhere")
    found = worker.measure_quality_of(job, CPU())
    assert given == [job.settings, 9, "cpu", "somewhere"]
    assert found["part"] == {"bits_per_dim": 2.0, "threads": torch.get_num_threads()}
