"""This suite asks if smaller buckets explain where our Table 2 differs from the paper's.

The paper does not give its bucket size. In smaller buckets a round finds the copied symbol less
often: of 1,024 positions, buckets of 8 are 128, four times as many as the library's. A model that
was trained with full attention is evaluated with small buckets too.
"""

from suites.base import Case, Suite, grid
from suites.presets import (
    BUCKETS_OF_8_STEPS,
    DUPLICATION,
    DUPLICATION_STEPS,
    PAPER_DUPLICATION_STEPS,
    PAPER_STEPS,
    QUICK_DUPLICATION,
    STANDARD_STEPS,
    standard,
)
from suites.settings import Settings, change


def _cases(
    base: Settings, standard_steps: int, steps: dict[int, int], in_buckets_of_8: dict[int, int]
) -> list[Case]:
    """Train LSH attention at each bucket size for its steps, chunks twice as long.

    Standard full attention is trained once a size that it is evaluated with.
    """
    found = grid(standard(change(base, train_steps=standard_steps)), bucket_size=[8, 32])
    for n_rounds, usual in steps.items():
        if n_rounds:
            lsh = change(base, n_rounds=n_rounds, train_steps=usual)
            found += grid(change(lsh, train_steps=in_buckets_of_8[n_rounds]), bucket_size=[8])
            found += grid(lsh, bucket_size=[16, 32])
    return found


SUITE = Suite(
    question="Do smaller buckets explain where our Table 2 differs from the paper's?",
    varies="bucket_size",
    presets={
        "quick": grid(change(QUICK_DUPLICATION, n_rounds=1), bucket_size=[16, 32]),
        "cpu": _cases(DUPLICATION, STANDARD_STEPS, DUPLICATION_STEPS, BUCKETS_OF_8_STEPS),
        "paper": _cases(DUPLICATION, PAPER_STEPS, PAPER_DUPLICATION_STEPS, PAPER_DUPLICATION_STEPS),
    },
)
