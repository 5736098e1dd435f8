"""This suite asks how many hash rounds pictures need to match full attention (paper, Figure 4)."""

from suites.base import Case, Suite, grid, make_case
from suites.presets import CPU_PICTURES, PAPER_PICTURES, QUICK_PICTURES, dense, local
from suites.settings import Settings, change


def _cases(base: Settings, n_rounds: list[int]) -> list[Case]:
    lsh = change(base, evaluate_rounds=(1, 2, 4, 8, 16, 0))
    return [*grid(lsh, n_rounds=n_rounds), make_case(local(base)), make_case(dense(base))]


SUITE = Suite(
    question="How many hash rounds do pictures need to match full attention?",
    varies="n_rounds",
    presets={
        "quick": _cases(QUICK_PICTURES, [1, 4]),
        "cpu": _cases(CPU_PICTURES, [1, 2, 4, 8, 16]),
        "paper": _cases(PAPER_PICTURES, [1, 2, 4, 8, 16]),
    },
)
