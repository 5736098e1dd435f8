"""What only a quiet machine shows is tried again where others disturbed it."""

import time
from collections.abc import Iterator

from suites.engine.measure.readings import ForeignLoad

WATCH_S = 1.0
PATIENCE_S = 20.0


def is_quiet() -> bool:
    """Return whether others leave the machine alone now; nothing of the test may run meanwhile."""
    load = ForeignLoad()
    time.sleep(WATCH_S)
    return not load.disturbed()


def tries_while_disturbed(n: int) -> Iterator[int]:
    """Yield 0, 1, ... up to `n` tries, a further one only if others disturbed the last.

    Disturbed is a try before or after which the machine was not quiet. A test leaves the loop once
    it has found what is right: on a quiet machine it has one try. Before each try the machine has
    PATIENCE_S seconds to get quiet.
    """
    for i in range(n):
        deadline = time.monotonic() + PATIENCE_S
        was_quiet = is_quiet()
        while not was_quiet and time.monotonic() < deadline:
            was_quiet = is_quiet()
        yield i
        if was_quiet and is_quiet():
            return
