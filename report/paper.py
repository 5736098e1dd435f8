"""This file alone holds the numbers that the paper published, with their sources.

Kitaev, Kaiser, Levskaya, "Reformer: The Efficient Transformer", ICLR 2020, arXiv 2001.04451.
"""

from collections.abc import Callable, Mapping

NAME = "Kitaev et al. 2020"

# Accuracy in %, duplication task: TABLE_2[trained with][evaluated with]; 0.8 is chance.
TABLE_2_SOURCE = "Table 2: duplication task, 1 layer, d_model 256, 4 heads, length 1024, 150K steps"
TABLE_2_STEPS = "150,000"
TABLE_2 = {
    "full": {"full": 100.0, "8": 94.8, "4": 92.5, "2": 76.9, "1": 52.5},
    "4": {"full": 0.8, "8": 100.0, "4": 99.9, "2": 99.4, "1": 91.9},
    "2": {"full": 0.8, "8": 100.0, "4": 99.9, "2": 98.1, "1": 86.8},
    "1": {"full": 0.8, "8": 99.9, "4": 99.6, "2": 94.8, "1": 77.9},
}

# Seconds per step of attention evaluation at 32,768 tokens, by length.
FIGURE_5_SOURCE = "Figure 5 right: attention evaluation, 32,768 tokens a step (digitised, +-3 %)"
FIGURE_5_LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768)
FIGURE_5_SECONDS = {
    "full": (0.17, 0.30, 0.47, 0.96, 1.9, 3.5),
    "LSH-1": (0.102, 0.082, 0.071, 0.068, 0.071, 0.075),
    "LSH-2": (0.148, 0.122, 0.108, 0.103, 0.111, 0.135),
    "LSH-4": (0.204, 0.176, 0.160, 0.164, 0.185, 0.231),
    "LSH-8": (0.319, 0.289, 0.275, 0.296, 0.352, 0.439),
}

# What the paper prints of memory and time, in units that it leaves open: b batch, h heads, l
# length, n layers, r rounds, d_k head width, d model width, f feed-forward width, and with n_c
# chunks c = (4 l / n_c)^2, which is 128^2 with the l / 32 chunks of its Table 3.
Sizes = Mapping[str, float]
Bound = Callable[[Sizes], float]


def _full(s: Sizes) -> float:
    return s["b"] * s["h"] * s["l"] ** 2


def _hashed(s: Sizes) -> float:
    return s["b"] * s["h"] * s["l"] * s["r"] * s["c"]


def _inputs(s: Sizes) -> float:
    return s["b"] * s["h"] * s["l"] * s["d_k"]


def _hidden(s: Sizes) -> float:
    return s["b"] * s["l"] * s["f"]


def _stream(s: Sizes) -> float:
    return s["b"] * s["l"] * s["d"]


def _dense_time(s: Sizes) -> float:
    return (_hidden(s) + _full(s)) * s["n"]


def _hashed_time(s: Sizes) -> float:
    return (_hidden(s) + _hashed(s)) * s["n"]


TABLE_1: dict[str, dict[str, Bound]] = {
    "scaled dot product": {
        "memory": lambda s: max(_inputs(s), _full(s)),
        "time": lambda s: max(_inputs(s), _full(s)),
    },
    "memory-efficient": {
        "memory": lambda s: max(_inputs(s), _full(s)),
        "time": lambda s: max(_inputs(s), _full(s)),
    },
    "LSH attention": {
        "memory": lambda s: max(_inputs(s), _hashed(s)),
        "time": lambda s: max(_inputs(s), _hashed(s)),
    },
}
TABLE_3: dict[str, dict[str, Bound]] = {
    "Transformer": {
        "memory": lambda s: max(_hidden(s), _full(s)) * s["n"],
        "time": _dense_time,
    },
    "Reversible Transformer": {
        "memory": lambda s: max(_hidden(s), _full(s)),
        "time": _dense_time,
    },
    "Chunked reversible Transformer": {
        "memory": lambda s: max(_stream(s), _full(s)),
        "time": _dense_time,
    },
    "LSH Transformer": {
        "memory": lambda s: max(_hidden(s), _hashed(s)) * s["n"],
        "time": _hashed_time,
    },
    "Reformer": {
        "memory": lambda s: max(_stream(s), _hashed(s)),
        "time": _hashed_time,
    },
}
