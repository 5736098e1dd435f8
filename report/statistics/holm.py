"""Over many tests, Holm's procedure holds the chance of any false alarm (Holm 1979)."""

from collections.abc import Sequence

# The chance of any false alarm over all tests together, half of it on each side.
FALSE_ALARM = 0.05


def holm(p_values: Sequence[float], level: float = FALSE_ALARM / 2) -> list[bool]:
    """Return for each test whether it stands.

    The least p must lie below level / n, the next below level / (n - 1), and so on to the first
    that does not.
    """
    stands = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, i in enumerate(order):
        if p_values[i] > level / (len(order) - rank):
            break
        stands[i] = True
    return stands
