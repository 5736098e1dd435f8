"""A sample is taken in one order, on the device's clock, with no garbage collected amid it."""

import gc
from collections.abc import Sequence

import pytest

from suites.engine.measure.device import CPU
from suites.engine.measure.timing import garbage_frozen, measure_time


class Noting(CPU):
    """This device notes what is asked of it; by each mark its clock gains another number of ms."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.n = self.now_ns = 0

    def synchronise(self) -> None:
        self.log.append("synchronise")

    def mark(self) -> int:
        self.log.append("mark")
        self.now_ns += (1 + self.n if self.n < 4 else 5 + self.n % 40) * 10**6
        self.n += 1
        return self.now_ns

    def elapsed_ms(self, marks: Sequence[int]) -> list[float]:
        self.log.append("read")
        return super().elapsed_ms(marks)


def test_a_sample_is_prepared_synchronised_and_marked_around_each_part() -> None:
    device, collecting = Noting(), []

    def part(name: str) -> None:
        device.log.append(name)
        collecting.append(gc.isenabled())

    parts = {name: lambda name=name: part(name) for name in ("forward", "backward", "optimizer")}
    found = measure_time(parts, device, 0.05, prepare=lambda: part("prepare"))
    one = ["prepare", "synchronise", "mark", "forward", "mark", "backward", "mark"]
    one += ["optimizer", "mark", "read"]
    n, left = divmod(len(device.log), len(one))
    assert (device.log, left) == (n * one, 0)
    assert set(collecting) == {False}
    assert gc.isenabled()
    first = {"forward": 2.0, "backward": 3.0, "optimizer": 4.0, "step": 9.0}
    assert found["first_ms"] == first
    samples = found["samples_ms"]
    for parts_of_step in zip(*(samples[name] for name in first), strict=True):
        forward, backward, optimizer, step = parts_of_step
        assert (backward - forward, optimizer - backward) == (1, 1)
        assert step == forward + backward + optimizer
    assert min(samples["forward"]) > 2.0, "the first call is no sample"


def test_garbage_is_collected_again_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="planted"), garbage_frozen():
        assert not gc.isenabled()
        raise RuntimeError("planted")
    assert gc.isenabled()
