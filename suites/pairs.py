"""The task `recall` has so many pairs of a key and a value in each sequence. No torch."""

from reformer.checks import require

VOCABULARY = 8192  # keys are from its lower half without 0, values from its upper half
N_KEYS = VOCABULARY // 2 - 1


def require_pairs_fit(n_pairs: int, length: int) -> None:
    """Raise ValueError, naming what is legal, unless a sequence holds so many pairs and queries.

    A pair takes two positions, and its query has one of two positions after all pairs.
    """
    most = min(length // 4, N_KEYS)
    require(most >= 1, f"length {length} holds no pair of the task recall; it must be at least 4")
    require(
        1 <= n_pairs <= most,
        f"n_pairs is {n_pairs}; a sequence of length {length} holds 1 to {most}, four positions "
        "for a pair and its query",
    )
