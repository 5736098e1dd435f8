"""The CPU kernel is written in C++, which kernel.py calls and build.py compiles at first use."""

from reformer.kernels.native.kernel import (
    attend,
    hash_to_buckets,
    passes,
    require_usable,
    sort_buckets,
    unavailable,
    unfit,
)

__all__ = [
    "attend",
    "hash_to_buckets",
    "passes",
    "require_usable",
    "sort_buckets",
    "unavailable",
    "unfit",
]
