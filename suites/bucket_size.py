"""This suite asks how large buckets and chunks should be.

The two vary independently: no published sweep separates them.
"""

from suites.base import Case, Suite, grid, make_case
from suites.presets import CPU_HALF, PAPER, QUICK, dense, dense_with_means, local
from suites.settings import Settings


def _rivals(base: Settings, chunk_length: list[int]) -> list[Case]:
    """Make the dense models, and local attention, which has chunks and no buckets."""
    return [
        *grid(local(base), chunk_length=chunk_length),
        make_case(dense(base)),
        make_case(dense_with_means(base)),
    ]


SUITE = Suite(
    question="How do bucket size and chunk length trade quality for time and memory?",
    varies="bucket_size",
    presets={
        "quick": [
            *grid(QUICK, bucket_size=[16, 32], chunk_length=[32, 64]),
            *_rivals(QUICK, [32, 64]),
        ],
        "cpu": [
            # a chunk longer than the short windows would pad them, and make more buckets of them
            *grid(CPU_HALF, bucket_size=[16, 32, 64], chunk_length=[64]),
            *grid(CPU_HALF, bucket_size=[16, 32], chunk_length=[32]),
            *_rivals(CPU_HALF, [32, 64]),
        ],
        "paper": [
            *grid(PAPER, bucket_size=[32, 64, 128, 256], chunk_length=[64, 128, 256]),
            *_rivals(PAPER, [64, 128, 256]),
        ],
    },
)
