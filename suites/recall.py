"""This suite asks what finds a far position by its content alone: multi-query associative recall.

Sizes and tied embeddings are as in zoology. But for the attention the models are equal, and all
have ordinary layers. A bucket holds 8 positions: local attention sees 16 to 31 before its own.
At rates of 3e-3 and more some seeds of full attention never learn more than which values occur.
"""

from suites.base import Case, Suite, grid, make_case
from suites.settings import Settings, change

BASE = Settings(
    task="recall",
    measures=("quality",),
    length=64,
    n_pairs=4,
    batch=32,
    d_model=64,
    d_ff=128,
    n_heads=1,
    bucket_size=8,
    shared_qk=True,
    reversible=False,
    embedding_std=0.02,
    tie_embeddings=True,
    train_steps=1500,
    learning_rate=1.5e-3,
    warmup_steps=100,
    heldout_tokens=65536,
)
QUICK = change(BASE, train_steps=28, warmup_steps=10, heldout_tokens=2048)
PAPER = change(BASE, d_model=128, d_ff=512, batch=256, train_steps=10000, heldout_tokens=262144)


def _at(base: Settings, length: int, n_pairs: int) -> Settings:
    """Return the settings at another size, with as many queries a step as `base` has."""
    batch = base.batch * base.n_pairs // n_pairs
    return change(base, length=length, n_pairs=n_pairs, batch=batch)


def _cases(base: Settings) -> list[Case]:
    separate = make_case(change(base, attention="sdpa", shared_qk=False))
    others = grid(base, attention=["local", "local+lsh", "local+sdpa", "sdpa"])
    return [*grid(base, n_rounds=[1, 2, 4, 8]), *others, separate]


SUITE = Suite(
    question="Where only content finds the far position, what does LSH earn over local attention?",
    varies="length",
    presets={
        "quick": grid(QUICK, attention=["lsh", "local"]),
        "cpu": [
            *_cases(BASE),
            *_cases(_at(change(BASE, train_steps=2000), 128, 8)),
            *_cases(_at(change(BASE, train_steps=2000), 256, 8)),
        ],
        "paper": [
            case
            for length, n_pairs in ((64, 4), (128, 8), (256, 16), (512, 64), (1024, 64))
            for case in _cases(_at(PAPER, length, n_pairs))
        ],
    },
)
