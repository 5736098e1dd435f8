"""This suite asks what reversible layers cost in quality and save (paper, Figure 3 right)."""

from suites.base import Case, Suite, grid
from suites.presets import (
    CPU,
    CPU_PICTURES,
    PAPER,
    PAPER_PICTURES,
    QUICK,
    QUICK_PICTURES,
    dense,
)
from suites.settings import Settings


def _cases(*bases: Settings) -> list[Case]:
    return [case for base in bases for case in grid(dense(base), reversible=[False, True])]


SUITE = Suite(
    question="What do reversible layers cost in quality and time, and save in memory?",
    varies="reversible",
    log_x=False,
    presets={
        "quick": _cases(QUICK, QUICK_PICTURES),
        "cpu": _cases(CPU, CPU_PICTURES),
        "paper": _cases(PAPER, PAPER_PICTURES),
    },
)
