"""The GPU kernel is written in Triton: one fused launch a round and pass, and one for the hash.

The mathematics is that of blocked.py. A program gathers the rows of a chunk and of the chunks
before it through the sorted order, so that nothing is copied into that order; norms, cells, masks,
log N_ij and the softmax stay in registers; products are of the inputs' type on the tensor cores.
Rounds follow one another in place, without atomics: the same input gives the same bits.

Triton is imported at the first call, where it is installed.
"""

import importlib.util
import math
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from reformer.checks import require
from reformer.config import LSHConfig
from reformer.eager import require_in_memory
from reformer.hashing import rotate_to_buckets
from reformer.kernels.by_hand import Passes, attend_by
from reformer.sorting import SortedRounds, padding_apart
from reformer.sorting import sort_buckets as sort_int32

WIDEST = 128  # heads, for which tiles stay in registers
MOST_COLUMNS = 128  # of a rotation
OLDEST_GPU = (8, 0)  # compute capability
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# PyTorch sorts lists up to this length in one launch, however many there are.
SHORT_LIST = 4096


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


def hash_to_buckets(vectors_BHLW: Tensor, rotations: Sequence[Tensor], n_rounds: int) -> Tensor:
    """Hash vectors with given rotations, (B, H, R, L) int32, in one launch where there are few.

    The twin of reformer.hashing.rotate_to_buckets.
    """
    if len(rotations) > 2 or any(r.shape[-1] > MOST_COLUMNS for r in rotations):
        return rotate_to_buckets(vectors_BHLW, rotations, n_rounds)
    rows = _room("attention").in_rows(vectors_BHLW.detach())
    found: Tensor = _room("hashing").hash_to_buckets(rows, rotations, n_rounds)
    return found


def sort_buckets(buckets_BHRL: Tensor, n_buckets: int, valid_length: int) -> tuple[Tensor, Tensor]:
    """Return what reformer.sorting.sort_buckets returns, sorting all lists as one if it can.

    Of several long lists PyTorch sorts all twice, or one after the other, in many launches.
    """
    *lists, length = buckets_BHRL.shape
    n_lists = math.prod(lists)
    if n_lists == 1 or length <= SHORT_LIST or n_lists * max(n_buckets + 1, length) >= 2**31:
        fits = n_buckets < 2**15 - 1
        dtype = torch.int16 if fits else torch.int32
        return sort_int32(buckets_BHRL, n_buckets, valid_length, dtype)
    buckets_BHRL, n_buckets = padding_apart(buckets_BHRL, n_buckets, valid_length)
    numbers = partial(torch.arange, dtype=torch.int32, device=buckets_BHRL.device)
    first_buckets = numbers(0, n_lists * n_buckets, n_buckets).view(*lists, 1)
    starts = numbers(0, n_lists * length, length).view(*lists, 1)
    found, places = torch.sort((buckets_BHRL + first_buckets).flatten(), stable=True)
    order_BHRL = torch.empty_like(buckets_BHRL, dtype=torch.int32)
    torch.sub(places.view(buckets_BHRL.shape), starts, out=order_BHRL)
    every_bucket = numbers(n_lists * n_buckets)
    ends = torch.searchsorted(found, every_bucket, right=True, out_int32=True)
    return order_BHRL, ends.view(*lists, n_buckets).sub_(starts)


def _room(name: str) -> Any:
    return importlib.import_module(f"reformer.kernels.triton.{name}")


def _interpreted() -> bool:
    return bool(importlib.import_module("triton").knobs.runtime.interpret)
