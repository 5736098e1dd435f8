"""Machines that tell little, as containers and batch systems do, are measured all the same."""

import errno
import fcntl
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import planted
import psutil
import pytest
from sweeps import Measure, plan_of

from suites.engine import host
from suites.engine.measure import device, fitness, machine, readings
from suites.engine.sweep.executors import child

ROOT = Path(__file__).resolve().parents[2]
REFUSALS = [
    OSError(errno.EPERM, "no"),
    FileNotFoundError("/proc/stat"),
    NotImplementedError("can't find"),
    psutil.AccessDenied(1),
    RuntimeError("no"),
    ValueError("no"),
]


def refuse(error: Exception) -> Any:
    def refused(*arguments: Any, **options: Any) -> Any:
        raise error

    return refused


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_what_cannot_be_read_is_none_in_the_record(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    for name in ("cpu_freq", "virtual_memory", "cpu_times"):
        monkeypatch.setattr(psutil, name, refuse(error))
    monkeypatch.setattr(os, "getloadavg", refuse(error))
    monkeypatch.setattr(host, "CGROUP", Path("/nowhere"))
    found = readings.readings(device.CPU())
    assert found == {"load": None, "cpu_mhz": None, "available_bytes": None}
    load = readings.ForeignLoad()
    assert (load.foreign_cores(), load.disturbed()) == (None, False)
    assert machine.memory_gib() > 0
    monkeypatch.setattr(fitness, "WATCH_S", 0)
    monkeypatch.setattr(fitness.torch.cuda, "is_available", lambda: False)
    assert [found for _, found, _ in fitness.checks()].count(fitness.NOT_SHOWN) >= 3


def test_no_frequency_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_freq", lambda: None)
    assert readings.readings(device.CPU())["cpu_mhz"] is None
    monkeypatch.delattr(psutil, "cpu_freq")
    monkeypatch.delattr(os, "getloadavg")
    found = readings.readings(device.CPU())
    assert (found["cpu_mhz"], found["load"]) == (None, None)


def test_cores_are_counted_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "CGROUP", Path("/nowhere"))
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(os, "sched_getaffinity", refuse(OSError(errno.EPERM, "no")))
    assert host.available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert host.available_cores() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert host.available_cores() == 1
    assert "1 cores" in machine.identity(device.CPU())["machine"]


def test_a_processor_without_a_name_has_that_of_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CPUINFO", Path("/nowhere"))
    assert machine.cpu_model()


def test_memory_is_sampled_where_the_kernel_has_no_high_water_mark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Such a kernel takes the word that resets the mark, and then tells no VmHWM."""
    (tmp_path / "clear_refs").touch()
    (tmp_path / "status").write_text("Name: python\nVmRSS: 100 kB\n")
    monkeypatch.setattr(device, "CLEAR_REFS", tmp_path / "clear_refs")
    monkeypatch.setattr(device, "STATUS", tmp_path / "status")
    with device.CPU().watch_peak() as peak:
        pass
    assert peak.method == "sampled"
    monkeypatch.setattr(psutil, "Process", refuse(psutil.NoSuchProcess(1)))
    with pytest.raises(RuntimeError, match="memory of this process cannot be read here"):
        device.CPU().watch_peak().__enter__()


class TestAddressSpace:
    """The limit of a job's process is the tightest known, and none where nothing is known."""

    @pytest.fixture
    def limits(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        taken: list[Any] = []
        monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: taken.append(pair))
        monkeypatch.setattr(child, "available_bytes", lambda: 8 * 2**30)
        return taken

    def test_a_soft_limit_of_the_batch_system_is_kept(
        self, limits: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        infinity = resource.RLIM_INFINITY
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (2**30, infinity))
        child.limit_address_space(1.0)
        assert limits == [(2**30, infinity)]

    @pytest.mark.parametrize("what", ["process", "memory"])
    def test_without_anything_known_there_is_none(
        self, limits: list[Any], monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        if what == "process":
            monkeypatch.setattr(psutil, "Process", refuse(psutil.NoSuchProcess(1)))
        else:
            monkeypatch.setattr(child, "available_bytes", lambda: None)
        child.limit_address_space(1.0)
        assert limits == []

    def test_a_system_that_refuses_it_is_no_obstacle(
        self, limits: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resource, "setrlimit", refuse(ValueError("not allowed")))
        child.limit_address_space(1.0)


def test_jobs_end_well_where_signals_and_logs_are_refused(measure: Measure, tmp_path: Path) -> None:
    (tmp_path / "test" / "logs").mkdir(parents=True)
    plan = plan_of([planted.settings_for(planted.HEALTHY)])
    (case_id,) = plan.entries
    (tmp_path / "test" / "logs" / f"{case_id}.txt").mkdir()
    folder, _ = measure(plan)
    assert [record["status"] for record in folder.records()] == ["ok"]


def test_a_kernel_without_such_signals_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    class Parent:
        sentinel = 0

        def is_alive(self) -> bool:
            return True

    monkeypatch.setattr(child.multiprocessing, "parent_process", Parent)
    monkeypatch.setattr(fcntl, "fcntl", refuse(OSError(errno.EINVAL, "no")))
    child.die_with_sweep()


def test_a_user_without_a_name_and_a_home_can_import_what_measures() -> None:
    """Containers run programs under numbers that stand for no user."""
    names = ("HOME", "USER", "LOGNAME", "USERNAME", "LNAME", "XDG_CACHE_HOME")
    program = (
        "import pwd\n"
        "def nobody(number):\n"
        "    raise KeyError(f'getpwuid(): uid not found: {number}')\n"
        "pwd.getpwuid = nobody\n"
        "import suites.engine.measure.worker\n"
        "from reformer.kernels import native\n"
        "from suites.tasks.files import cache_folder\n"
        "print(native.unavailable(), cache_folder())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in names},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"reformer-bench-{os.getuid()}" in done.stdout


@pytest.mark.parametrize(
    ("readings_found", "failing"),
    [
        ({"throttle_reasons": 0b1, "gpu_processes": 1}, []),
        ({"throttle_reasons": 0b101, "gpu_processes": 1}, ["throttled"]),
        ({"throttle_reasons": 0, "gpu_processes": 2}, ["processes on the GPU"]),
        ({"gpu_readings": "none: no driver"}, ["clocks of the GPU"]),
    ],
)
def test_a_gpu_is_checked_for_throttling_and_for_company(monkeypatch, readings_found, failing):
    clocks = {"sm_mhz": 1755, "memory_mhz": 2619, "celsius": 41}
    found = readings_found if "gpu_readings" in readings_found else clocks | readings_found
    monkeypatch.setattr(fitness, "gpu_readings", lambda: found)
    monkeypatch.setattr(fitness, "matmul_gflops", lambda device, precision: 798_000.0)
    monkeypatch.setattr(fitness, "copy_gbs", lambda device: 3000.0)
    monkeypatch.setattr(fitness, "bfloat16_instructions", lambda device: "9.0")
    checks = list(fitness.gpu_checks(device.CPU()))
    assert [what for what, _, passed in checks if not passed] == failing
    words = {what: found for what, found, _ in checks}
    assert words["matrix products in bfloat16 on cuda"] == "798.0 TFLOP/s"
    assert words["copies on cuda"] == "3000 GB/s, read and written"
    if "gpu_readings" not in readings_found:
        assert words["clocks of the GPU"].startswith("1755 MHz, memory 2619 MHz, 41")


def test_a_gpu_that_is_full_loses_no_other_check(monkeypatch):
    def full(*_):
        raise RuntimeError("CUDA out of memory")

    readings_found = {"throttle_reasons": 0, "gpu_processes": 3, "sm_mhz": 1755, "memory_mhz": 2619}
    monkeypatch.setattr(fitness, "gpu_readings", lambda: readings_found | {"celsius": 41})
    monkeypatch.setattr(fitness, "matmul_gflops", full)
    monkeypatch.setattr(fitness, "copy_gbs", full)
    checks = {what: passed for what, _, passed in fitness.gpu_checks(device.CPU())}
    assert not checks["processes on the GPU"]
    assert not checks["matrix products in float32 on cuda"]
    assert not checks["copies on cuda"]
    assert checks["clocks of the GPU"] and checks["throttled"]
