"""This suite measures one attention call on ever longer sequences, beside published Reformers."""

from baselines.config import PEERS
from suites.base import Case, Suite, grid
from suites.presets import ATTENTION, BRIEF, HASTY, THOROUGH
from suites.settings import Settings, change


def _cases(base: Settings, common: list[int], longer: list[int], dense: list[int]) -> list[Case]:
    as_published = change(base, within_bucket=False, correct_duplicates=False)
    half = change(base, precision="bfloat16")
    return [
        *grid(base, n_rounds=[1, 2, 4], length=common + longer),
        *grid(as_published, length=common),
        *grid(base, attention=PEERS, length=common),
        *grid(base, attention=["local"], length=common + longer),
        *grid(change(base, attention="sdpa"), length=dense),
        *grid(half, attention=["lsh", "local", "sdpa"], length=common),
    ]


def _on_gpus(base: Settings, lengths: list[int]) -> list[Case]:
    """Make the cases of bfloat16, full attention but at the longest length, and LSH in float32."""
    return [
        *grid(base, n_rounds=[1, 2, 4], length=lengths),
        *grid(base, attention=["local"], length=lengths),
        *grid(base, attention=["sdpa"], length=lengths[:-1]),
        *grid(change(base, precision="float32"), length=lengths[::2]),
    ]


SUITE = Suite(
    question="How does one attention call grow with the length, beside published Reformers?",
    varies="length",
    presets={
        "quick": _cases(
            change(ATTENTION, **HASTY, d_model=128, n_heads=2), [256], [1024], [256, 1024]
        ),
        "cpu": _cases(
            ATTENTION,
            common=[1024, 4096, 16384],
            longer=[2048, 8192, 32768, 65536, 131072, 262144],
            dense=[1024, 2048, 4096, 8192, 16384, 32768],
        ),
        "gpu": _on_gpus(
            change(ATTENTION, time_budget_s=0.5, precision="bfloat16", **BRIEF),
            [4096, 16384, 65536, 262144, 1048576],
        ),
        "paper": _cases(
            change(ATTENTION, time_budget_s=10.0, **THOROUGH),
            common=[1024, 4096, 16384, 65536],
            longer=[2048, 8192, 32768, 131072, 262144, 1048576],
            dense=[1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072],
        ),
    },
)
