"""This suite asks what each extra hash round buys and costs."""

from suites.base import Case, Suite, grid, make_case
from suites.presets import CPU, GPU, PAPER, QUICK, dense, dense_with_means, local, separate
from suites.settings import Settings, change


def _cases(base: Settings, n_rounds: list[int]) -> list[Case]:
    seen = {"evaluate_rounds": (1, 2, 4, 8, 0), "analyses": ("past only", "attention mass")}
    lsh = change(base, **seen)
    near = change(local(base), analyses=("attention mass",))
    rivals = (near, dense(base), dense_with_means(base), separate(base))
    drawn = change(base, analyses=("head",))
    return [*grid(lsh, n_rounds=n_rounds), *map(make_case, (drawn, *rivals))]


SUITE = Suite(
    question="What does each extra hash round buy in bits per dim, and cost in time and memory?",
    varies="n_rounds",
    presets={
        "quick": _cases(QUICK, [1, 2, 4, 8]),
        "cpu": _cases(CPU, [1, 2, 4, 8]),
        "gpu": _cases(GPU, [1, 2, 4, 8]),
        "paper": _cases(PAPER, [1, 2, 4, 8, 16]),
    },
)
