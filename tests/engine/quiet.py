"""What only a quiet machine shows is tried again: whoever else is on it may disturb one try."""

import time
from collections.abc import Iterator

from suites.engine.measure.readings import ForeignLoad

WATCH_S = 1.0
PATIENCE_S = 20.0
PAUSE_S = 10.0


def is_quiet() -> bool:
    """Return whether others leave the machine alone now; nothing of the test may run meanwhile."""
    load = ForeignLoad()
    time.sleep(WATCH_S)
    return not load.disturbed()


def quiet_tries(n: int) -> Iterator[int]:
    """Yield 0, 1, ... up to `n` tries; a test leaves the loop once it has found what is right.

    What is measured wrong is wrong every time, and fails. What others did to one try they do not do
    to `n`: a neighbour on the same hardware takes its caches and its clock without a trace in this
    machine's counters, some for half a minute. Before each try the machine has PATIENCE_S seconds
    to get quiet, and before each but the first the neighbour PAUSE_S to be done.
    """
    for i in range(n):
        time.sleep(PAUSE_S if i else 0)
        deadline = time.monotonic() + PATIENCE_S
        while not is_quiet() and time.monotonic() < deadline:
            pass
        yield i
