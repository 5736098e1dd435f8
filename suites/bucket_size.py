"""This suite asks how large buckets and chunks should be.

The two vary independently: no published sweep separates them.
"""

from suites.base import Suite, grid, make_case
from suites.presets import CPU, PAPER, QUICK, dense

SUITE = Suite(
    question="How do bucket size and chunk length trade quality for time and memory?",
    varies="bucket_size",
    presets={
        "quick": [
            *grid(QUICK, bucket_size=[16, 32, 64], chunk_length=[32, 64]),
            make_case(dense(QUICK)),
        ],
        "cpu": [
            *grid(CPU, bucket_size=[16, 32, 64], chunk_length=[64]),
            *grid(CPU, bucket_size=[32], chunk_length=[32, 128]),
            make_case(dense(CPU)),
        ],
        "paper": [
            *grid(PAPER, bucket_size=[32, 64, 128, 256], chunk_length=[64, 128, 256]),
            make_case(dense(PAPER)),
        ],
    },
)
