"""How large should buckets and chunks be? The two vary independently: no published sweep separates
them.
"""

from suites.base import Case, Settings, Suite, grid
from suites.presets import CPU, PAPER, QUICK, dense


def _cases(base: Settings, bucket_sizes: list[int], chunk_lengths: list[int]) -> list[Case]:
    sweep = grid(base, bucket_size=bucket_sizes, chunk_length=chunk_lengths)
    return [*sweep, *grid(dense(base), shared_qk=[False])]


SUITE = Suite(
    question="How do bucket size and chunk length trade quality for time and memory?",
    varies="bucket_size",
    presets={
        "quick": _cases(QUICK, [16, 32, 64], [32, 64]),
        "cpu": _cases(CPU, [16, 32, 64], [32, 64, 128]),
        "paper": _cases(PAPER, [32, 64, 128, 256], [64, 128, 256]),
    },
)
