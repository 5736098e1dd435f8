"""This suite asks how costs grow with the width of the feed-forward layers (paper, Table 3)."""

from suites.base import Case, Suite, grid
from suites.presets import CPU, PAPER, QUICK, models_of_table_3
from suites.settings import Settings, change


def _cases(models: list[Settings], widths: list[int]) -> list[Case]:
    return [case for model in models for case in grid(model, d_ff=widths)]


SUITE = Suite(
    question="How do time and peak memory grow with the width of the feed-forward layers?",
    varies="d_ff",
    presets={
        "quick": _cases(models_of_table_3(QUICK)[::4], [128, 256]),
        "cpu": _cases(models_of_table_3(change(CPU, length=4096)), [512, 1024, 2048, 4096]),
        "paper": _cases(models_of_table_3(change(PAPER, length=16384)), [2048, 4096, 8192, 16384]),
    },
)
