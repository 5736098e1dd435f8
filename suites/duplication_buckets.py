"""This suite asks if smaller buckets explain where our Table 2 differs from the paper's.

The paper does not give its bucket size. In smaller buckets a round finds the copied symbol less
often: of 1,024 positions, buckets of 8 are 128, four times as many as the library's.
"""

from suites.base import Case, Suite, grid
from suites.presets import (
    DUPLICATION,
    DUPLICATION_STEPS,
    PAPER_DUPLICATION_STEPS,
    QUICK_DUPLICATION,
)
from suites.settings import Settings, change


def _cases(base: Settings, steps: dict[int, int]) -> list[Case]:
    """Train LSH attention for its steps at each bucket size, chunks twice as long."""
    found = []
    for n_rounds, n_steps in steps.items():
        if n_rounds:
            lsh = change(base, n_rounds=n_rounds, train_steps=n_steps)
            found += grid(lsh, bucket_size=[8, 16, 32])
    return found


SUITE = Suite(
    question="Do smaller buckets explain where our Table 2 differs from the paper's?",
    varies="bucket_size",
    presets={
        "quick": grid(change(QUICK_DUPLICATION, n_rounds=1), bucket_size=[16, 32]),
        "cpu": _cases(DUPLICATION, DUPLICATION_STEPS),
        "paper": _cases(DUPLICATION, PAPER_DUPLICATION_STEPS),
    },
)
