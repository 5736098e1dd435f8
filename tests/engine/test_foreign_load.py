"""Foreign load is worked out from planted counters; readings stand beside a timing."""

import os
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from suites.engine.measure import readings
from suites.engine.measure.readings import ForeignLoad

KINDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest")
Times = namedtuple("Times", KINDS)
BUSY = ("user", "nice", "system", "irq", "softirq", "steal")


@dataclass
class Counters:
    """Planted counters stand in for those of the machine and of this process, in seconds."""

    wall: float = 1000.0
    machine: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 500.0))
    own: list[float] = field(default_factory=lambda: [3.0, 1.0, 2.0, 1.0, 50.0])

    def cpu_times(self) -> Any:
        return Times(**self.machine)

    def times(self) -> Any:
        return os.times_result(self.own)


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> Counters:
    planted = Counters()
    monkeypatch.setattr(readings.psutil, "cpu_times", planted.cpu_times)
    fake_os = SimpleNamespace(times=planted.times, getloadavg=os.getloadavg)
    monkeypatch.setattr(readings, "os", fake_os)
    monkeypatch.setattr(readings, "time", SimpleNamespace(monotonic=lambda: planted.wall))
    return planted


@pytest.mark.parametrize("kind", KINDS)
def test_only_busy_time_counts(counters: Counters, kind: str) -> None:
    """Guests' time is in user time already; idle and waiting processors are nobody's."""
    load = ForeignLoad()
    counters.wall += 4.0
    counters.machine[kind] += 3.0
    busy = kind in BUSY
    assert load.reading() == pytest.approx((0.75, 3.0) if busy else (0.0, 0.0))
    assert load.foreign_cores() == pytest.approx(0.75 if busy else 0.0)
    assert load.disturbed() is busy


@pytest.mark.parametrize("which", range(5))
def test_time_of_this_process_and_of_its_children_is_not_foreign(
    counters: Counters, which: int
) -> None:
    """os.times is user, system, the same of children that have ended, and the wall clock's time.

    A compiler that a kernel starts is such a child.
    """
    load = ForeignLoad()
    counters.wall += 10.0
    counters.machine["user"] += 5.0
    counters.own[which] += 4.0
    assert load.reading() == pytest.approx((0.5, 5.0) if which == 4 else (0.1, 1.0))


@pytest.mark.parametrize(
    ("wall", "seconds", "expected"),
    [
        (10.0, 2.1, True),
        (10.0, 1.9, False),  # a fifth of a core
        (0.1, 0.06, True),
        (0.1, 0.04, False),  # a tick or two of /proc/stat may be nobody's
        (10.0, 0.0, False),
        (10.0, -0.02, False),  # the counters tick at other moments
    ],
)
def test_a_timing_is_spoilt_from_a_fifth_of_a_core_on(
    counters: Counters, wall: float, seconds: float, expected: bool
) -> None:
    load = ForeignLoad()
    counters.wall += wall
    counters.machine["system"] += 6.0 + seconds
    counters.own[0] += 6.0
    assert load.disturbed() is expected
    cores, foreign = load.reading() or (None, None)
    assert foreign == pytest.approx(max(0.0, seconds))
    assert cores == pytest.approx(max(0.0, seconds) / wall)


def test_no_time_and_no_counters_say_nothing(
    counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not ForeignLoad().disturbed()
    counters.machine = dict.fromkeys(KINDS, 0.0)  # a container that hides them
    load = ForeignLoad()
    counters.wall += 1.0
    assert (load.reading(), load.foreign_cores(), load.disturbed()) == (None, None, False)


def test_a_real_child_that_works_is_counted_as_this_process() -> None:
    before = readings._own_s()
    work = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", work], check=True)
    assert readings._own_s() - before >= 0.25


@pytest.mark.parametrize(("kind", "expected"), [("cuda", 3), ("cpu", None)])
def test_what_the_driver_says_stands_beside_the_other_readings(
    monkeypatch: pytest.MonkeyPatch, kind: str, expected: int | None
) -> None:
    monkeypatch.setattr(readings, "gpu_readings", lambda: {"gpu_processes": 3})
    found = readings.readings(SimpleNamespace(type=kind))
    assert found.get("gpu_processes") == expected
    assert {"load", "cpu_mhz", "available_bytes"} <= set(found)
