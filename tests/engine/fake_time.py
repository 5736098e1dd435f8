"""Time passes here only as tests say, so that no test of timing depends on a quiet machine."""

from collections.abc import Callable

from suites.engine.measure.device import CPU

LOOK_MS = 0.01


class FakeTime:
    """This stands in for the module `time`, in the modules that measure.

    Time passes by `pass_ms` and `sleep`. A look at `perf_counter` takes LOOK_MS and whatever
    `interruption` returns, in ms: work that looks until its time is over gets there, and may be
    held up on the way. A look at `monotonic` is free, so that budgets hold exactly as much as they
    say.
    """

    def __init__(self) -> None:
        self.now_ns = 0
        self.interruption: Callable[[], float] = lambda: 0.0

    def pass_ms(self, ms: float) -> None:
        self.now_ns += round(1e6 * ms)

    def sleep(self, seconds: float) -> None:
        self.pass_ms(1e3 * seconds)

    def monotonic(self) -> float:
        return self.now_ns / 1e9

    def perf_counter(self) -> float:
        self.pass_ms(LOOK_MS + self.interruption())
        return self.now_ns / 1e9


class FakeDevice(CPU):
    """A fake device reads `factor` times the time that has passed on the fake clock."""

    def __init__(self, time: FakeTime, factor: float = 1.0) -> None:
        self.time, self.factor = time, factor

    def mark(self) -> int:
        return round(self.factor * self.time.now_ns)


class Work:
    """Work takes the first number of ms in its first call, ..., the last in all calls left."""

    def __init__(self, time: FakeTime, durations_ms: list[float]) -> None:
        self.time, self.durations_ms = time, durations_ms
        self.n_calls = 0

    def __call__(self) -> None:
        self.time.pass_ms(self.durations_ms[min(self.n_calls, len(self.durations_ms) - 1)])
        self.n_calls += 1
