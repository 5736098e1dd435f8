"""This suite repeats the paper's Figure 5 (right) beside fused attention and published Reformers.

The paper's full attention is "memory_efficient". Longer than 32,768 tokens is the suite
attention_length.
"""

from baselines.config import PEERS
from suites.base import Case, Suite, grid
from suites.presets import ATTENTION
from suites.settings import Settings, change

ROUNDS = [1, 2, 4, 8]
DENSE = ["sdpa", "memory_efficient", "naive"]
PAPER_LENGTHS = [1024, 2048, 4096, 8192, 16384, 32768]


def _cases(base: Settings, lengths: list[int]) -> list[Case]:
    """Make the cases of all lengths, each with as many tokens in a batch as the longest has."""
    cases = []
    for length in lengths:
        at = change(base, length=length, batch=lengths[-1] // length)
        cases += [*grid(at, n_rounds=ROUNDS), *grid(at, attention=["local", *DENSE, *PEERS])]
    return cases


SUITE = Suite(
    question="From which length on is LSH attention alone the faster one, tokens constant?",
    varies="length",
    presets={
        "quick": _cases(change(ATTENTION, time_budget_s=0.2, processes=2), [256, 1024]),
        "cpu": _cases(ATTENTION, PAPER_LENGTHS),
        "paper": _cases(change(ATTENTION, time_budget_s=10.0), PAPER_LENGTHS),
    },
)
