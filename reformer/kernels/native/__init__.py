"""The CPU kernel in C++: kernel.py calls it, build.py compiles it at first use."""

from reformer.kernels.native.kernel import (
    attend,
    hash_to_buckets,
    require_usable,
    sort_buckets,
    unavailable,
)

__all__ = ["attend", "hash_to_buckets", "require_usable", "sort_buckets", "unavailable"]
