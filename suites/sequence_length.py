"""This suite asks from which sequence length on the Reformer beats a dense Transformer."""

from suites.base import Case, Suite, grid, make_case
from suites.presets import (
    CPU_HALF,
    PAPER,
    QUICK,
    at_length,
    costs_only,
    dense,
    local,
    models_of_table_3,
)
from suites.settings import Settings, change


def _cases(trained: list[Settings], longer: list[int]) -> list[Case]:
    """Make cases of all models at the lengths at which they are trained, and costs at the others.

    Reversible layers compute another function than ordinary ones: the dense model that has them is
    trained in the suite hash_rounds.
    """
    untrained = [costs_only(change(trained[0], length=length)) for length in longer]
    longest = max(at.length for at in trained + untrained)
    cases = []
    for at in trained + untrained:
        others = costs_only(dense(at))
        models = (at, local(at), dense(at), *models_of_table_3(at))
        cases += [make_case(one) for one in models]
        if at.length < longest:  # a step of theirs at the longest takes as long as all the others
            cases += grid(others, attention=["naive", "memory_efficient"])
    half = change(untrained[-1], precision="bfloat16")
    return [*cases, *(make_case(one) for one in (half, local(half), dense(half)))]


SUITE = Suite(
    question="From which length on does the Reformer beat a dense Transformer, and at what cost?",
    varies="length",
    presets={
        "quick": _cases([at_length(QUICK, n) for n in (512, 256)], longer=[1024]),
        "cpu": _cases(
            [at_length(CPU_HALF, n) for n in (1024, 4096, 8192)], longer=[512, 2048, 16384]
        ),
        "paper": _cases(
            [change(PAPER, length=n) for n in (65536, 4096, 16384)],
            longer=[1024, 2048, 8192, 32768],
        ),
    },
)
