"""This suite repeats the paper's Figure 5 (right) beside fused attention and published Reformers.

The paper's full attention is "memory_efficient". Longer than 32,768 tokens is the suite
attention_length.
"""

from typing import Any

from baselines.config import PEERS
from suites.base import Case, Suite, grid
from suites.presets import ATTENTION, BRIEF, HASTY, THOROUGH
from suites.settings import Settings, change

ROUNDS = [1, 2, 4, 8]
# Slow ones: at every second length, so that the suite fits into one sitting.
SLOW = ["memory_efficient", "naive", *(peer for peer in PEERS if not peer.endswith("-exact"))]
PAPER_LENGTHS = [1024, 2048, 4096, 8192, 16384, 32768]


def _cases(base: Settings, lengths: list[int], slow: list[str]) -> list[Case]:
    """Make the cases of all lengths, each with as many tokens in a batch as the longest has.

    The slow ones and bfloat16 stand at every second length.
    """
    cases = []
    for length in lengths:
        at = change(base, length=length, batch=lengths[-1] // length)
        cases += [*grid(at, n_rounds=ROUNDS), *grid(at, attention=["local", "sdpa"])]
        if length in lengths[::2]:
            cases += grid(at, attention=slow)
            cases += grid(change(at, precision="bfloat16"), attention=["lsh", "local", "sdpa"])
    return cases


def _on_gpus(base: Settings, lengths: list[int]) -> list[Case]:
    """Make the cases of bfloat16 first, then, at every second length, those of float32 and others.

    Those of bfloat16 stand in CUDA graphs too, where the host takes no time. The others are the
    published Reformers and what PyTorch itself makes of LSH attention.
    """
    found: list[tuple[Settings, dict[str, list[Any]]]] = []
    for length in lengths:
        at = change(base, length=length, batch=lengths[-1] // length, precision="bfloat16")
        found += [(at, {"n_rounds": ROUNDS}), (at, {"attention": ["local", "sdpa"]})]
        replayed = change(at, cuda_graph=True, measures=("time",))
        found += [(replayed, {"attention": ["lsh", "sdpa"]})]
    for length in lengths[1::2]:
        at = change(base, length=length, batch=lengths[-1] // length)
        found += [(at, {"attention": ["lsh", "local", "sdpa"]}), (at, {"attention": SLOW[2:]})]
        found += [(change(at, precision="bfloat16"), {"kernel": ["compiled", "flex"]})]
    return [case for settings, values in found for case in grid(settings, **values)]


SUITE = Suite(
    question="From which length on is LSH attention alone the faster one, tokens constant?",
    varies="length",
    presets={
        "quick": _cases(change(ATTENTION, **HASTY, d_model=128, n_heads=2), [256, 1024], ["naive"]),
        "cpu": _cases(ATTENTION, PAPER_LENGTHS, SLOW),
        "gpu": _on_gpus(change(ATTENTION, time_budget_s=0.5, **BRIEF), PAPER_LENGTHS),
        "paper": _cases(change(ATTENTION, time_budget_s=10.0, **THOROUGH), PAPER_LENGTHS, SLOW),
    },
)
