"""How what is seen of a case may change with a setting: a check takes it before and after."""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch

Check = Callable[[Any, Any], bool]


def same(before: Any, after: Any) -> bool:
    if isinstance(before, torch.Tensor) and isinstance(after, torch.Tensor):
        is_near = functools.partial(torch.allclose, rtol=1e-3, atol=1e-5)
        return before.shape == after.shape and is_near(before, after)
    if isinstance(before, float) and isinstance(after, float):
        return math.isclose(before, after, rel_tol=1e-7)
    return bool(before == after)


def differs(before: Any, after: Any) -> bool:
    return not same(before, after)


def grows(before: float, after: float) -> bool:
    return after > before


def shrinks(before: float, after: float) -> bool:
    return after < before


def becomes(value: Any) -> Check:
    return lambda before, after: differs(before, value) and same(after, value)


def all_become(*values: Any) -> Check:
    """These are seen in every kind of job, and nothing else."""
    return lambda before, after: becomes({kind: set(values) for kind in before})(before, after)


def grows_by(*names: str) -> Check:
    """These names are seen besides those before."""
    return lambda before, after: {*after} - {*before} == {*names}


def has_passes(n: int) -> Check:
    """There are so many timings, and the other jobs are as before."""

    def check(before: list[Any], after: list[Any]) -> bool:
        passes = [job for job in after if job[0] == "time"]
        return passes == [("time", i, 0) for i in range(n)] and [
            job for job in after if job not in passes
        ] == [job for job in before if job[0] != "time"]

    return check


def each_its_own(before: dict[str, float], after: dict[str, float]) -> bool:
    """Evaluated as trained, with 1 round and with full attention, a model gives three numbers."""
    is_more = {*after} - {*before} == {"1", "full"}
    return is_more and len(set(after.values())) == len(after) == 3
