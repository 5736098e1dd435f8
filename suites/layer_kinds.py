"""This suite asks which layers need LSH attention: all of them, some, or none.

The authors' best model of enwik8 (1.05 bits per dim) has local attention in 9 of 12 layers.
"""

from suites.base import Case, Suite, make_case
from suites.presets import CPU_HALF, PAPER, QUICK, dense_with_means, local
from suites.settings import Settings, change

ALTERNATING = "local+lsh"
MOSTLY_LOCAL = "local+local+local+lsh"


def _cases(base: Settings, patterns: list[str]) -> list[Case]:
    """Make all LSH, the patterns, all local, and full attention; the rest of the model is equal."""
    mixed = [change(base, attention=pattern) for pattern in patterns]
    return [make_case(one) for one in (base, *mixed, local(base), dense_with_means(base))]


SUITE = Suite(
    question="Which layers need LSH attention: all of them, some, or none?",
    varies="attention",
    presets={
        "quick": _cases(QUICK, [ALTERNATING]),
        "cpu": _cases(change(CPU_HALF, n_layers=4), [ALTERNATING, MOSTLY_LOCAL]),
        "paper": _cases(change(PAPER, n_layers=12), [ALTERNATING, MOSTLY_LOCAL]),
    },
)
