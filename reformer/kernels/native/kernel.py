"""The CPU kernel does LSH attention, its backward, the hash and the sort in C++ (paper, section 2).

The mathematics is that of blocked.py; attention.cpp says what is faster about it. Compiled at first
use where there is a compiler; `unavailable()` says why not where there is none. Results do not
depend on the number of threads, which is torch's.

Shapes: B batch, H heads, L length, W head width, R rounds, N buckets.
"""

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from reformer.checks import require
from reformer.config import LSHConfig
from reformer.eager import eagerly, require_in_memory
from reformer.inputs import require_order, require_pair
from reformer.kernels.by_hand import Passes, attend_by, in_rows
from reformer.kernels.native import build
from reformer.sorting import SortedRounds

_POINTERS = ("z", "order", "ends")
_SIZES = (
    *("batch", "heads", "length", "width", "rounds", "buckets", "chunk_length", "chunks_before"),
    *("valid_length", "causal", "within_bucket", "correct_duplicates", "threads"),
)


class _Rows(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("batch", "head", "row")),
    )


class _Problem(ctypes.Structure):
    _fields_ = (
        *((name, _Rows) for name in ("q", "v", "out", "dout", "dq", "dv")),
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int64) for name in _SIZES),
        ("scale", ctypes.c_double),
    )


class _Hash(ctypes.Structure):
    _fields_ = (
        ("vectors", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("stride_b", "stride_h", "stride_l")),
        *((name, ctypes.c_void_p) for name in ("rotations", "halves", "buckets")),
        *(
            (name, ctypes.c_int64)
            for name in (
                *("batch", "heads", "length", "width"),
                *("rounds", "factors", "columns", "threads"),
            )
        ),
    )


@lru_cache(maxsize=1)
def unavailable() -> str:
    """Say why there is no native kernel on this machine; "" if there is.

    The first call compiles it.
    """
    try:
        build.load()
    except build.Unavailable as error:
        return str(error)
    return ""


def unfit(like: Tensor) -> str:
    """Say why the kernel cannot take tensors such as `like`; "" if it can."""
    return unavailable()


def require_usable(*tensors: Tensor) -> None:
    """Raise ValueError unless the kernel can be compiled and the tensors are in CPU memory."""
    require(not unavailable(), f'kernel "native" is not available: {unavailable()}; use "blocked"')
    devices = {x.device.type for x in tensors}
    require(devices == {"cpu"}, f'kernel "native" runs on the CPU, not on {devices}; use "blocked"')
    require_in_memory("native", *tensors)


@eagerly
def attend(qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig) -> Tensor:
    """Attend over sorted rounds, (batch, heads, length, width), on the CPU.

    float32 and float64 as they are, lower precision in float32 inside. Raises ValueError on other
    devices, where the kernel cannot be compiled, and where `rounds` are not those of qk.
    """
    require_usable(qk, v, rounds.order_BHRL)
    require_pair(qk, v, config)
    require_order(rounds.order_BHRL, rounds.ends_BHRN, qk, config)
    return attend_by(passes(), qk, v, rounds, config)


def passes() -> Passes:
    """Return the two passes."""
    return Passes(_forward, _backward)


def _forward(
    qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig
) -> tuple[Tensor, Tensor]:
    dtype = _dtype(qk, v)
    q_BHLW, v_BHLW = in_rows(qk.to(dtype)), in_rows(v.to(dtype))
    out_BHLW = torch.empty_like(v_BHLW)
    z_BHL = v_BHLW.new_empty(v.shape[:-1])
    _call("forward", rounds, config, z_BHL, q=q_BHLW, v=v_BHLW, out=out_BHLW)
    return out_BHLW, z_BHL


def _backward(
    grad_out: Tensor, kept: tuple[Tensor, ...], rounds: SortedRounds, config: LSHConfig
) -> tuple[Tensor, Tensor]:
    qk, v, out_BHLW, z_BHL = kept
    rows = {"q": qk, "v": v, "dout": grad_out, "out": out_BHLW}
    tensors = {name: in_rows(x.to(z_BHL.dtype)) for name, x in rows.items()}
    dq_BHLW, dv_BHLW = torch.empty_like(tensors["q"]), torch.empty_like(tensors["v"])
    _call("backward", rounds, config, z_BHL, **tensors, dq=dq_BHLW, dv=dv_BHLW)
    return dq_BHLW.to(qk.dtype), dv_BHLW.to(v.dtype)


@eagerly
def hash_to_buckets(vectors_BHLW: Tensor, rotations: Sequence[Tensor], n_rounds: int) -> Tensor:
    """Hash vectors with given rotations, (B, H, R, L) int32.

    The twin of reformer.hashing.rotate_to_buckets: buckets differ from its only where two
    projections agree to rounding.
    """
    dtype = _dtype(vectors_BHLW)
    vectors_BHLW = in_rows(vectors_BHLW.detach().to(dtype))
    B, H, L, W = vectors_BHLW.shape
    buckets_BHRL = vectors_BHLW.new_zeros((B, H, n_rounds, L), dtype=torch.int32)
    if not rotations:
        return buckets_BHRL
    matrix_XW = torch.cat(list(rotations), dim=-1).flatten(1).t().to(dtype).contiguous()
    halves = buckets_BHRL.new_tensor([rotation.shape[-1] for rotation in rotations])
    hash_ = _Hash(
        _pointer(vectors_BHLW),
        *vectors_BHLW.stride()[:3],
        *(_pointer(x) for x in (matrix_XW, halves, buckets_BHRL)),
        *(B, H, L, W, n_rounds, len(halves), len(matrix_XW), torch.get_num_threads()),
    )
    _check(_function("hash", dtype)(ctypes.byref(hash_)))
    return buckets_BHRL


@eagerly
def sort_buckets(buckets_BHRL: Tensor, n_buckets: int, valid_length: int) -> tuple[Tensor, Tensor]:
    """Return the order by (bucket, position), and where every bucket ends in it, both int32.

    The twin of reformer.sorting.sort_buckets: positions from `valid_length` on come last, in a
    bucket of their own, number n_buckets. Raises ValueError on a bucket outside [0, n_buckets).
    """
    buckets_BHRL = buckets_BHRL.int().contiguous()
    *lists, length = buckets_BHRL.shape
    n_ends = n_buckets + (valid_length < length)
    order_BHRL = torch.empty_like(buckets_BHRL)
    ends_BHRN = buckets_BHRL.new_empty((*lists, n_ends))
    sizes = (buckets_BHRL.numel() // length, length, n_ends, valid_length)
    code = build.load().sort_lists(
        ctypes.c_void_p(_pointer(buckets_BHRL)),
        *(ctypes.c_int64(size) for size in sizes),
        *(ctypes.c_void_p(_pointer(x)) for x in (order_BHRL, ends_BHRN)),
        ctypes.c_int64(torch.get_num_threads()),
    )
    if code == 2:
        raise ValueError(f"buckets must be in [0, {n_buckets}); found {buckets_BHRL.aminmax()}")
    _check(code)
    return order_BHRL, ends_BHRN


def _dtype(*tensors: Tensor) -> torch.dtype:
    is_double = any(x.dtype == torch.float64 for x in tensors)
    return torch.float64 if is_double else torch.float32


@eagerly
def _call(
    name: str, rounds: SortedRounds, config: LSHConfig, z_BHL: Tensor, **tensors: Tensor
) -> None:
    B, H, L, W = tensors["q"].shape
    order_BHRL, ends_BHRN = rounds.order_BHRL.contiguous(), rounds.ends_BHRN.contiguous()
    problem = _Problem(
        z=_pointer(z_BHL),
        order=_pointer(order_BHRL),
        ends=_pointer(ends_BHRN),
        **dict(zip(("batch", "heads", "length", "width"), (B, H, L, W), strict=True)),
        rounds=config.n_rounds,
        buckets=ends_BHRN.shape[-1],
        chunk_length=rounds.chunk_length,
        chunks_before=rounds.chunks_before,
        valid_length=rounds.valid_length,
        causal=config.causal,
        within_bucket=rounds.within_bucket,
        correct_duplicates=config.correct_duplicates,
        threads=torch.get_num_threads(),
        scale=config.logit_scale,
        **{name: _Rows(_pointer(x), *x.stride()[:3]) for name, x in tensors.items()},
    )
    _check(_function(name, z_BHL.dtype)(ctypes.byref(problem)))


def _pointer(x: Tensor) -> int:
    require_in_memory("native", x)
    return x.data_ptr()


def _function(name: str, dtype: torch.dtype) -> Any:
    return getattr(build.load(), f"{name}_{'double' if dtype == torch.float64 else 'float'}")


def _check(code: int) -> None:
    if code != 0:
        raise MemoryError("the native kernel ran out of memory")
