"""The ruler: work of known cost is measured right, and a wrong ruler is caught."""

import math
import random
from pathlib import Path

import pytest
import torch

from suites.engine import ruler
from suites.engine.device import CPU
from suites.engine.doctor import MAX_START_S, start_checks
from suites.engine.memory import LivePeak, measure_memory
from suites.engine.process import run_in_process
from suites.engine.timing import interval_rank, measure_time, median_interval

MIB = 2**20


@pytest.fixture(scope="module")
def checks(tmp_path_factory):
    """What the ruler finds in a process of its own; again if others were in its way."""
    log = tmp_path_factory.mktemp("ruler") / "log.txt"
    for _ in range(4):
        outcome = run_in_process("suites.engine.ruler:check_ruler", None, log=log, timeout_s=60)
        assert outcome.failure is None, outcome.failure
        if all(passed for *_, passed in outcome.result["checks"]):
            break
    return {what: (found, passed) for what, found, passed in outcome.result["checks"]}


@pytest.mark.parametrize(
    "what",
    [
        "spin of 20 ms",
        "allocation of 64 MiB, vmhwm",
        "allocation of 64 MiB, live tensors",
        "spike of 61 MiB for 5 ms, vmhwm",
        "spike of 61 MiB for 5 ms, live tensors",
        "planted slow-down of 10 %",
        "identical pair",
    ],
)
def test_work_of_known_cost_is_measured_right(checks, what):
    found, passed = checks[what]
    assert passed, f"{what}: {found}"


def test_a_ruler_that_reads_5_percent_too_long_is_caught(monkeypatch):
    right = CPU.elapsed_ms
    monkeypatch.setattr(CPU, "elapsed_ms", lambda self, m: [1.05 * ms for ms in right(self, m)])
    assert not ruler.check_spin()[2]


def test_a_ruler_that_misses_memory_is_caught(monkeypatch):
    monkeypatch.setattr(LivePeak, "_count", lambda self, tensor: None)
    assert not all(passed for *_, passed in ruler.check_allocation())


def test_a_process_starts_quickly(tmp_path):
    ((_, found, passed),) = start_checks(tmp_path / "log.txt")
    assert passed, f"{found}, bound {MAX_START_S}"


def test_first_call_is_apart_and_parts_add_up():
    calls = []
    parts = {"a": lambda: calls.append(1), "b": lambda: None}
    found = measure_time(parts, CPU(), budget_s=0.05)
    samples = found["samples_ms"]
    assert len(calls) > len(samples["step"]) >= 1
    for a, b, step in zip(samples["a"], samples["b"], samples["step"], strict=True):
        assert step == pytest.approx(a + b)
    assert set(found["first_ms"]) == {"a", "b", "step"}


@pytest.mark.parametrize("n", [6, 10, 25, 100])
def test_median_interval_covers_with_at_least_95_percent(n):
    generator, hits, trials = random.Random(n), 0, 2000
    for _ in range(trials):
        samples = [generator.lognormvariate(0, 1) for _ in range(n)]
        low, high = median_interval(samples)
        hits += low <= 1.0 <= high
    assert hits / trials > 0.94
    assert interval_rank(n) >= 1


def test_few_samples_have_no_interval():
    assert median_interval([1.0, 2.0, 3.0]) == (-math.inf, math.inf)


def test_live_peak_counts_storages_once_and_forgets_the_dead():
    with LivePeak() as live:
        a = torch.randn(MIB // 4)
        view = a[: MIB // 8].view(2, -1)
        assert live.bytes == MIB
        b = a + 1
        del a, view
        assert live.bytes == MIB
        del b
    assert live.bytes == 0
    assert live.peak_bytes == 2 * MIB


def test_memory_is_split_into_what_is_kept_and_the_rest():
    weight = torch.randn(MIB // 4, requires_grad=True)
    optimizer = torch.optim.AdamW([weight])

    def step():
        weight.pow(2).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    found = measure_memory(step, CPU(), [weight], optimizer)
    assert found["weights_bytes"] == found["gradients_bytes"] == MIB
    assert 2 * MIB <= found["optimizer_bytes"] <= 2 * MIB + 64
    assert found["live_rest_bytes"] >= MIB
    assert found["live_peak_bytes"] == found["live_rest_bytes"] + 3 * MIB + (
        found["optimizer_bytes"] - MIB
    )


def test_twenty_identical_comparisons_are_same():
    """The verdicts over real processes: at least 14 same, at most one faster or slower."""
    from report.statistics import ratio_of_medians

    work = ruler.Spin(1.0)

    def process():
        return ruler.time_of(work, budget_s=0.03)

    groups = [[process() for _ in range(3)] for _ in range(40)]
    verdicts = [ratio_of_medians(groups[2 * i], groups[2 * i + 1]).verdict for i in range(20)]
    assert verdicts.count("same") >= 14, verdicts
    assert verdicts.count("faster") + verdicts.count("slower") <= 1, verdicts
    slow = [[1.10 * ms for ms in samples] for samples in groups[0]]
    assert ratio_of_medians(slow, groups[1]).verdict == "slower"


def test_the_log_of_a_process_is_kept(tmp_path: Path):
    log = tmp_path / "log.txt"
    outcome = run_in_process("planted:write_and_wait", 0.0, log=log)
    assert outcome.failure is None
    assert "waiting" in log.read_text()
