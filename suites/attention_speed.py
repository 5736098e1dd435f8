"""The paper's Figure 5 (right), beside today's fused attention."""

from suites.base import Case, Settings, Suite, change, grid
from suites.presets import ATTENTION

ROUNDS = [1, 2, 4, 8]
DENSE = ["sdpa", "memory_efficient", "naive"]
PAPER_LENGTHS = [1024, 2048, 4096, 8192, 16384, 32768]


def _cases(base: Settings, tokens: int, lengths: list[int]) -> list[Case]:
    cases = []
    for length in lengths:
        at = change(base, length=length, batch=tokens // length)
        cases += [*grid(at, n_rounds=ROUNDS), *grid(at, attention=DENSE)]
    return cases


SUITE = Suite(
    question="From which length on is LSH attention alone the faster one, tokens constant?",
    varies="length",
    presets={
        "quick": _cases(change(ATTENTION, time_budget_s=0.2), 2048, [512, 2048]),
        "cpu": _cases(ATTENTION, 32768, PAPER_LENGTHS),
        "paper": _cases(change(ATTENTION, time_budget_s=10.0), 32768, PAPER_LENGTHS),
    },
)
