"""This suite asks what sharing one projection for queries and keys costs (paper, Figure 3 left)."""

from suites.base import Case, Suite, make_case
from suites.presets import (
    CPU,
    CPU_PICTURES,
    PAPER,
    PAPER_PICTURES,
    QUICK,
    QUICK_PICTURES,
    dense,
    separate,
)
from suites.settings import Settings


def _cases(*bases: Settings) -> list[Case]:
    return [make_case(model) for base in bases for model in (dense(base), separate(base))]


SUITE = Suite(
    question="What does one projection for queries and keys cost in quality, with full attention?",
    varies="shared_qk",
    log_x=False,
    presets={
        "quick": _cases(QUICK, QUICK_PICTURES),
        "cpu": _cases(CPU, CPU_PICTURES),
        "paper": _cases(PAPER, PAPER_PICTURES),
    },
)
