"""The tightest limit on memory and cores holds, of all control groups that this process is in."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from suites.engine import host

GIB = 2**30
Files = dict[str, str]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Files], None]:
    """Make a machine of 8 cores and 64 GiB with control groups: machine(who I am, files)."""

    def make(groups: str, files: Files) -> None:
        (tmp_path / "cgroup").write_text(groups)
        for name, text in files.items():
            file = tmp_path / "fs" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    available = SimpleNamespace(available=64 * GIB)
    monkeypatch.setattr(host.psutil, "virtual_memory", lambda: available)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(host, "CGROUP", tmp_path / "fs")
    monkeypatch.setattr(host, "PROC_CGROUP", tmp_path / "cgroup")
    return make


def v2(folder: str, limit: object, used: int = 0, cached: int = 0) -> Files:
    return {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.current": f"{used}\n",
        f"{folder}/memory.stat": f"anon 1\ninactive_file {cached}\n",
    }


def v1(folder: str, limit: int, used: int = 0, cached: int = 0) -> Files:
    return {
        f"{folder}/memory.limit_in_bytes": f"{limit}\n",
        f"{folder}/memory.usage_in_bytes": f"{used}\n",
        f"{folder}/memory.stat": f"inactive_file 1\ntotal_inactive_file {cached}\n",
    }


NESTED = "0::/user.slice/job_7/step_0\n"
MEMORY = {
    "none": ("", {}, 64),
    "root": ("0::/\n", v2(".", 4 * GIB, GIB, GIB // 2), 3.5),
    "leaf": (NESTED, v2("user.slice/job_7/step_0", 2 * GIB), 2),
    "parent": (
        NESTED,
        v2("user.slice/job_7", 6 * GIB, 5 * GIB) | v2("user.slice/job_7/step_0", "max"),
        1,
    ),
    "grandparent": (NESTED, v2("user.slice", GIB) | v2("user.slice/job_7/step_0", 2 * GIB), 1),
    "elsewhere": (NESTED, v2("user.slice/job_8", GIB), 64),
    "more than there is": (NESTED, v2("user.slice", 900 * GIB), 64),
    "used up": (NESTED, v2("user.slice", GIB, 2 * GIB), 0),
    "hybrid": ("1:name=systemd:/\n0::/a\n", v2("unified/a", GIB), 1),
    "v1 root": ("4:memory:/docker/x\n", v1("memory", 3 * GIB, GIB, GIB // 2), 2.5),
    "v1 leaf": ("4:memory:/slurm/job\n", v1("memory/slurm/job", GIB), 1),
    "v1 parent": (
        "9:cpu:/\n4:memory:/slurm/job\n",
        v1("memory/slurm", GIB) | v1("memory/slurm/job", 2 * GIB),
        1,
    ),
    "v1 without a limit": ("4:memory:/a\n", v1("memory/a", 2**63 - 4096, GIB), 64),
    "v1 of several": ("4:blkio,memory:/a\n", v1("blkio,memory/a", GIB), 1),
    "both versions": ("4:memory:/a\n0::/b\n", v1("memory/a", GIB) | v2("unified/b", 2 * GIB), 1),
    "mounted below the name on the host": ("4:memory:/docker/x/sub\n", v1("memory/sub", GIB), 1),
    "garbage": ("garbage\n\n::\n", {"memory.max": "garbage\n", "memory.stat": "x"}, 64),
}


@pytest.mark.parametrize("name", MEMORY)
def test_the_tightest_limit_of_memory_holds(
    machine: Callable[[str, Files], None], name: str
) -> None:
    groups, files, gib = MEMORY[name]
    machine(groups, files)
    assert host.available_bytes() == gib * GIB


def quota(folder: str, quota: object, period: int = 100_000) -> Files:
    return {f"{folder}/cpu.max": f"{quota} {period}\n"}


def cfs(folder: str, quota: int, period: int = 100_000) -> Files:
    return {
        f"{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"{folder}/cpu.cfs_period_us": f"{period}\n",
    }


CORES = {
    "none": ("", {}, 8),
    "no quota": ("0::/\n", quota(".", "max"), 8),
    "two": ("0::/\n", quota(".", 200_000), 2),
    "two and a half": ("0::/\n", quota(".", 250_000), 3),
    "half a core": ("0::/\n", quota(".", 50_000), 1),
    "another period": ("0::/\n", quota(".", 30_000, 10_000), 3),
    "more than there are": ("0::/\n", quota(".", 6_400_000), 8),
    "of a parent": (NESTED, quota("user.slice", 200_000) | quota("user.slice/job_7", "max"), 2),
    "v1": ("3:cpu:/docker/x\n", cfs("cpu", 200_000), 2),
    "v1 leaf": ("3:cpu,cpuacct:/slurm/job\n", cfs("cpu,cpuacct/slurm/job", 150_000), 2),
    "v1 without a quota": ("3:cpu:/\n", cfs("cpu", -1), 8),
    "garbage": ("0::/\n", {"cpu.max": "garbage\n", "cpu.cfs_quota_us": "-1"}, 8),
}


@pytest.mark.parametrize("name", CORES)
def test_the_quota_of_cores_holds(machine: Callable[[str, Files], None], name: str) -> None:
    groups, files, n_cores = CORES[name]
    machine(groups, files)
    assert host.available_cores() == n_cores
