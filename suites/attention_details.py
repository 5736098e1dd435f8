"""This suite asks what each detail of LSH attention is worth, changed one at a time."""

from typing import Any

from suites.base import Case, Suite, make_case, one_at_a_time
from suites.presets import CPU_HALF, PAPER, QUICK
from suites.settings import Settings, change

# Neither the bucket mask (eq. 4) nor log N_ij (eq. 16): the later semantics of the authors' code.
NEITHER: dict[str, Any] = {"within_bucket": False, "correct_duplicates": False}


def _cases(base: Settings, temperatures: list[float], **sizes: Any) -> list[Case]:
    """Change one detail of the base, whose chunks are two mean buckets long, at a time.

    sizes: of chunks and buckets, so that chunks are one mean bucket long, and four.
    """
    lsh = change(base, analyses=("attention mass",), chunk_length=2 * base.bucket_size)
    return [
        *one_at_a_time(
            lsh,
            within_bucket=[False],
            correct_duplicates=[False],
            chunks_before=[0, 2],
            logit_scale=temperatures,
            rotation=["normal"],
            **sizes,
        ),
        make_case(change(lsh, **NEITHER)),
    ]


SUITE = Suite(
    question="What is each detail of LSH attention worth, changed one at a time?",
    varies="",
    presets={
        "quick": one_at_a_time(
            change(QUICK, analyses=("attention mass",)), within_bucket=[False], chunks_before=[0]
        ),
        # 1 / sqrt(32), by the width of a head; longer chunks than 64 would pad the short windows
        "cpu": _cases(CPU_HALF, [0.177, 2.0], chunk_length=[32], bucket_size=[16]),
        "paper": _cases(PAPER, [0.088, 2.0], chunk_length=[64, 256]),
    },
)
