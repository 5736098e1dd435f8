"""Each benchmark gets a length and a kernel that works here, and what it measures is written down.

Without --benchmark-enable (CONTRIBUTING.md) each benchmark runs once, at the shorter length, as a
test of its result.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from reformer import kernels

LENGTHS = (1024, 4096)
# Kernels that need no seconds of compilation; native is compiled once for all.
QUICK = ("plain", "blocked", "native")
MADE_FOR_CUDA = ("flex",)  # on the CPU with logits for all pairs


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take both lengths and all kernels where something is measured, else what is quick."""
    measured = metafunc.config.getoption("benchmark_enable")
    if "length" in metafunc.fixturenames:
        metafunc.parametrize("length", LENGTHS if measured else LENGTHS[:1])
    if "kernel" in metafunc.fixturenames and "kernel" not in named(metafunc):
        names = kernels.KERNELS if measured else QUICK
        names = [name for name in names if name not in MADE_FOR_CUDA]
        metafunc.parametrize("kernel", names, indirect=True)


def named(metafunc: pytest.Metafunc) -> list[str]:
    """List the arguments whose values the test itself names."""
    return [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> str:
    """Give a kernel that works on this machine's CPU, or skip."""
    try:
        return kernels.pick(request.param, torch.empty(0))
    except ValueError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def measure(benchmark: Any, length: int) -> Callable[..., Any]:
    """Give measure(function, kernel), which times a function and returns what it returned."""

    def run(function: Callable[[], Any], kernel: str = "") -> Any:
        benchmark.extra_info.update(length=length, kernel=kernel, threads=torch.get_num_threads())
        return benchmark(function)

    return run


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict) -> None:
    """Write down what else must agree for two files to be compared (report/benchmark_json.py)."""
    machine_info["torch"] = torch.__version__
    machine_info["threads"] = torch.get_num_threads()
    machine_info["capability"] = torch.backends.cpu.get_cpu_capability()
