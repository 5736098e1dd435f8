"""The GPU kernel is written in Triton: one fused launch a round and pass, few for hash and sort.

The mathematics is that of blocked.py. A program gathers the rows of a chunk and of the chunks
before it through the sorted order, so that nothing is copied into that order; norms, cells, masks,
log N_ij and the softmax stay in registers; products are of the inputs' type on the tensor cores.
Rounds follow one another in place, without atomics: the same input gives the same bits.

Triton is imported at the first call, where it is installed.
"""

import importlib.util
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from reformer.checks import require
from reformer.config import LSHConfig
from reformer.eager import require_in_memory
from reformer.hashing import draw_rotations as drawn_on_cpu
from reformer.hashing import rotate_to_buckets
from reformer.inputs import require_generator
from reformer.kernels.by_hand import Passes, attend_by, in_rows
from reformer.sorting import SortedRounds
from reformer.sorting import sort_buckets as sort_each

WIDEST = 128  # heads, for which tiles stay in registers
MOST_COLUMNS = 128  # of a rotation
OLDEST_GPU = (8, 0)  # compute capability
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# PyTorch sorts lists up to this length in one launch, however many there are.
SHORT_LIST = 4096
MOST_SORTED = 2**30  # numbers that are sorted as one: their sums and tiles stay below 2^31


@cache
def unavailable(device: torch.device) -> str:
    """Say why the kernel cannot run on this device; "" if it can."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    if device.type == "cpu" and _interpreted():
        return ""
    if device.type != "cuda" or torch.version.hip:
        return f"it runs on cuda, not on {'ROCm' if torch.version.hip else device.type}"
    if torch.cuda.is_available() and torch.cuda.get_device_capability(device) < OLDEST_GPU:
        return f"{torch.cuda.get_device_name(device)} is older than compute capability 8.0"
    return ""


def unfit(like: Tensor) -> str:
    """Say why the kernel cannot take tensors such as `like`; "" if it can."""
    why = unavailable(like.device)
    if why or not isinstance(like, Tensor) or like.dim() != 4:  # only a device to pick for
        return why
    if like.dtype not in DTYPES:
        return f"it takes float32, bfloat16 and float16, not {like.dtype}"
    if like.shape[-1] > WIDEST:
        return f"it takes heads of width {WIDEST} at most, not {like.shape[-1]}"
    return ""


def require_usable(like: Tensor, *others: Tensor) -> None:
    """Raise ValueError unless the kernel can take tensors such as `like`, and read all of them."""
    require(not unfit(like), f'kernel "triton" cannot run here: {unfit(like)}; use "blocked"')
    require_in_memory("triton", like, *others)


def attend(qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig) -> Tensor:
    """Attend over sorted rounds, (batch, heads, length, width).

    Raises ValueError where the kernel cannot run.
    """
    require_usable(qk, v, rounds.order_BHRL)
    return attend_by(passes(), qk, v, rounds, config)


def passes() -> Passes:
    """Return the two passes."""
    room = _room("attention")
    return Passes(room.forward, room.backward)


def draw_rotations(
    like: Tensor,
    factors: Sequence[int],
    n_rounds: int,
    generator: torch.Generator | None = None,
    rotation: str = "orthonormal",
) -> list[Tensor]:
    """Draw what reformer.hashing.draw_rotations does, on a GPU if `like` is there.

    They are other draws than the CPU's, of the same distribution, and the same on every GPU but for
    rounding. Raises ValueError where a CUDA graph would repeat those of the CPU at each replay.
    """
    if like.device.type != "cuda" or not _few(factors):
        require(
            not _room("launch").is_captured(like),
            f"a CUDA graph draws rotations of at most {2 * MOST_COLUMNS} buckets, not of "
            f"{factors}; take larger buckets, or call this outside of it",
        )
        return drawn_on_cpu(like.shape[-1], factors, n_rounds, generator, rotation)
    require_generator(generator)
    found: list[Tensor] = _room("rotations").draw_rotations(
        like, factors, n_rounds, generator, rotation == "orthonormal"
    )
    return found


def hash_to_buckets(vectors_BHLW: Tensor, rotations: Sequence[Tensor], n_rounds: int) -> Tensor:
    """Hash vectors with given rotations, (B, H, R, L) int32, in one launch where there are few.

    The twin of reformer.hashing.rotate_to_buckets.
    """
    if not _few([2 * r.shape[-1] for r in rotations]):
        return rotate_to_buckets(vectors_BHLW, rotations, n_rounds)
    rows = in_rows(vectors_BHLW.detach())
    found: Tensor = _room("hashing").hash_to_buckets(rows, rotations, n_rounds)
    return found


def sort_buckets(buckets_BHRL: Tensor, n_buckets: int, valid_length: int) -> tuple[Tensor, Tensor]:
    """Return what reformer.sorting.sort_buckets returns, sorting all lists as one if it can."""
    *lists, length = buckets_BHRL.shape
    if length <= SHORT_LIST or math.prod(lists) * max(n_buckets + 1, length) > MOST_SORTED:
        fits = n_buckets < 2**15 - 1
        dtype = torch.int16 if fits else torch.int32
        return sort_each(buckets_BHRL, n_buckets, valid_length, dtype)
    found: tuple[Tensor, Tensor] = _room("sorting").sort_as_one(
        buckets_BHRL, n_buckets, valid_length
    )
    return found


def _few(factors: Sequence[int]) -> bool:
    """Is the hash one or two rotations of columns that fit a tile?"""
    return len(factors) <= 2 and all(1 < n <= 2 * MOST_COLUMNS for n in factors)


@cache
def _room(name: str) -> Any:
    return importlib.import_module(f"reformer.kernels.triton.{name}")


def _interpreted() -> bool:
    return bool(importlib.import_module("triton").knobs.runtime.interpret)
