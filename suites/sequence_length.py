"""This suite asks from which sequence length on the Reformer beats a dense Transformer."""

from suites.base import Case, Suite, grid
from suites.presets import CPU, PAPER, QUICK, costs_only, dense
from suites.settings import Settings, change


def _cases(base: Settings, trained: list[int], longer: list[int]) -> list[Case]:
    others = costs_only(dense(base))
    half = [change(one, precision="bfloat16") for one in (costs_only(base), others)]
    return [
        *grid(base, length=trained),
        *grid(dense(base), length=trained),
        *grid(costs_only(base), length=longer),
        *grid(others, length=longer),
        *(case for one in half for case in grid(one, length=[trained[0], longer[-1]])),
        *grid(others, attention=["naive", "memory_efficient"], length=trained + longer),
    ]


SUITE = Suite(
    question="From which length on does the Reformer beat a dense Transformer, and at what cost?",
    varies="length",
    presets={
        "quick": _cases(QUICK, trained=[256, 512, 1024], longer=[2048]),
        "cpu": _cases(CPU, trained=[512, 1024, 2048], longer=[4096, 8192, 16384]),
        "paper": _cases(PAPER, trained=[4096, 16384, 65536], longer=[1024, 2048, 8192, 32768]),
    },
)
