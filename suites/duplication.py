"""This suite copies a sequence, 0w0w, as in the paper's Table 2, at the paper's own size."""

from suites.base import Case, Suite, make_case
from suites.presets import (
    DUPLICATION,
    DUPLICATION_STEPS,
    PAPER_DUPLICATION_STEPS,
    PAPER_STEPS,
    QUICK_DUPLICATION,
    STANDARD_STEPS,
    standard,
)
from suites.settings import Settings, change


def _cases(base: Settings, standard_steps: int, steps: dict[int, int]) -> list[Case]:
    """Train with standard full attention for so many steps, and with each number of rounds for its.

    With 0 rounds it is full attention as LSH attention approximates it. Bucket and chunk are the
    library's.
    """
    found = [standard(change(base, train_steps=standard_steps))]
    for n_rounds, n_steps in steps.items():
        if n_rounds == 0:
            found.append(change(base, attention="sdpa", train_steps=n_steps))
        else:
            lsh = change(base, n_rounds=n_rounds, train_steps=n_steps)
            found += [lsh, change(lsh, within_bucket=False, correct_duplicates=False)]
    return [make_case(settings) for settings in found]


SUITE = Suite(
    question="Does a model trained with one attention work with another, as in Table 2?",
    varies="n_rounds",
    presets={
        "quick": [
            make_case(standard(QUICK_DUPLICATION)),
            make_case(change(QUICK_DUPLICATION, n_rounds=1)),
        ],
        "cpu": _cases(DUPLICATION, STANDARD_STEPS, DUPLICATION_STEPS),
        "paper": _cases(DUPLICATION, PAPER_STEPS, PAPER_DUPLICATION_STEPS),
    },
)
