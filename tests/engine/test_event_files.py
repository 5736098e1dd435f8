"""TensorBoard reads from the event files what the records hold."""

import builtins
import resource
import threading
from pathlib import Path
from typing import Any

import pytest
from findings import QUALITY

from suites.engine.store.event_files import (
    HELD_OUT,
    TRAINING,
    require_tensorboard,
    write_event_files,
)

STARTED = "2026-01-02T03:04:05+00:00"


def record_of(case: str, seed: int, **quality: Any) -> dict[str, Any]:
    part = {**QUALITY, **quality} if quality else None
    return {"case": case, "seed": seed, "started": STARTED, "quality": part}


def scalars(folder: Path, tag: str) -> list[tuple[int, float, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload().Scalars(tag)
    return [(point.step, point.value, point.wall_time) for point in found]


@pytest.mark.filterwarnings("ignore")
def test_curves_are_read_as_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    curve, curve_s = [[100, 4.5], [200, 3.25]], [10.0, 21.0]
    one = record_of("a", 1, curve=curve, curve_s=curve_s, train_curve=[[50, 5.5], [200, 3.5]])
    names = {"a": "LSH-4, 2/3 of it", "b": "never trained"}
    for _ in range(2):  # the second time in place of the first
        (folder,) = write_event_files([one, record_of("b", 0)], names, tmp_path / "curves")
    assert folder.name == "a seed 1, LSH-4, 2-3 of it"
    held_out = scalars(folder, HELD_OUT)
    assert [point[:2] for point in held_out] == [(100, 4.5), (200, 3.25)]
    assert held_out[1][2] - held_out[0][2] == pytest.approx(11.0)
    assert [point[:2] for point in scalars(folder, TRAINING)] == [(50, 5.5), (200, 3.5)]


@pytest.mark.filterwarnings("ignore")
def test_a_disk_that_takes_no_more_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread prints a traceback of its own beside it."""
    pytest.importorskip("tensorboard")
    of_threads: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", of_threads.append)
    one = record_of("a", 1, curve=[[100, 4.5]], curve_s=[10.0], train_curve=[[50, 5.5]] * 999)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_event_files([one], {"a": "LSH-4"}, tmp_path / "curves")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert of_threads == []


def test_a_missing_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "tensorboard":
            raise ImportError(name)
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"needs the package tensorboard; install it with: pip"):
        require_tensorboard()
