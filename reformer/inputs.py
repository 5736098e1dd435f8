"""Tensors that models and attention cannot take are refused with one sentence each.

The numbers themselves (tokens, targets, buckets out of range) are looked at on the CPU only: on a
GPU that would wait for the device, whose embedding and cross-entropy stop at such a number.

Shapes: B batch, H heads, R rounds, L length, W head width.
"""

from typing import Any

import torch
from torch import Tensor

from reformer.checks import require, require_integer
from reformer.config import LSHConfig
from reformer.eager import is_fake_outside_its_mode, is_in_memory

FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
TOKENS = (torch.int64, torch.int32)
INTEGERS = (*TOKENS, torch.uint8, torch.int8, torch.int16)
# A bucket costs 4 bytes in each of B * H * R lists, whether or not it is empty.
MOST_BUCKETS = 2**20


def require_vectors(name: str, x: Any) -> None:
    """Raise ValueError unless `x` can be hashed, (batch, heads, length, width)."""
    if _is_vectors(x):  # no sentence is made where none is needed
        return
    require(isinstance(x, Tensor), f"{name} is {type(x).__name__}; it must be a tensor")
    _require_dense(name, x)
    require(
        x.dim() == 4 and x.shape[-1] > 0,
        f"{name} is {tuple(x.shape)}; it must be (batch, heads, length, width)",
    )
    require(
        x.dtype in FLOATS,
        f"{name} is {x.dtype}; it must be float32, bfloat16, float16 or float64",
    )
    require(
        not is_fake_outside_its_mode(x),
        f"{name} is fake, and what it meets is not; call this within its FakeTensorMode",
    )


def require_pair(qk: Any, v: Any, config: Any) -> None:
    """Raise ValueError unless LSH attention can take qk and v with this config."""
    alike = isinstance(config, LSHConfig) and _is_vectors(qk) and _is_vectors(v)
    if alike and (qk.shape, qk.dtype, qk.device) == (v.shape, v.dtype, v.device):
        return
    require(
        isinstance(config, LSHConfig),
        f"config is {type(config).__name__}; attention takes an LSHConfig",
    )
    for name, x in (("qk", qk), ("v", v)):
        _require_dense(name, x)
    shapes = [tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in (qk, v)]
    require(
        shapes[0] == shapes[1] and len(shapes[0]) == 4,
        f"qk {shapes[0]} and v {shapes[1]} must both be (batch, heads, length, width)",
    )
    require_vectors("qk", qk)
    require_vectors("v", v)
    require(
        qk.dtype == v.dtype and qk.device == v.device,
        f"qk is {qk.dtype} on {qk.device} and v {v.dtype} on {v.device}; both must be the same",
    )


def require_buckets(buckets: Any, qk_BHLW: Tensor, config: LSHConfig) -> int:
    """Return how many buckets there are; raise ValueError unless they are a hash of qk."""
    B, H, L, _ = qk_BHLW.shape
    expected = (B, H, config.n_rounds, L)
    require(isinstance(buckets, Tensor), f"buckets are {type(buckets).__name__}, not a tensor")
    _require_dense("buckets", buckets)
    require(
        tuple(buckets.shape) == expected and buckets.dtype in INTEGERS,
        f"buckets are {buckets.dtype} {tuple(buckets.shape)}; they must be integers {expected}",
    )
    require(
        buckets.device == qk_BHLW.device,
        f"buckets are on {buckets.device} and qk on {qk_BHLW.device}; both must be the same",
    )
    n_buckets, (lowest, highest) = config.n_buckets(L), _range(buckets, anywhere=True)
    most = max(n_buckets, MOST_BUCKETS)
    require(lowest >= 0, f"buckets start at {lowest}; the first is 0")
    require(highest < most, f"buckets go up to {highest}; the last can be {most - 1}")
    return max(n_buckets, highest + 1)


def require_order(
    order_BHRL: Tensor, ends_BHRN: Tensor, qk_BHLW: Tensor, config: LSHConfig
) -> None:
    """Raise ValueError unless sorted rounds have an order for every round and position of qk.

    Kernels read it, and where buckets end, without a further check.
    """
    B, H, L, _ = qk_BHLW.shape
    expected, found = (B, H, config.n_rounds, L), tuple(order_BHRL.shape)
    if found != expected or order_BHRL.device != qk_BHLW.device:
        raise ValueError(
            f"order {found} is on {order_BHRL.device}; it must be {expected} on {qk_BHLW.device}"
        )
    if ends_BHRN.device != order_BHRL.device:
        raise ValueError(
            f"order is on {order_BHRL.device} and where buckets end is on {ends_BHRN.device}; "
            "both must be on one device"
        )


def require_generator(generator: Any) -> None:
    """Raise ValueError unless hashes can be drawn from it: None or a generator on the CPU."""
    if generator is None:
        return
    require(
        isinstance(generator, torch.Generator),
        f"generator is {type(generator).__name__}; it must be a torch.Generator or None",
    )
    require(
        generator.device.type == "cpu",
        f"generator is on {generator.device}; hashes are drawn from one on the CPU",
    )


def require_tokens(tokens: Any, vocabulary: int, weight: Tensor) -> None:
    """Raise ValueError unless an embedding of this vocabulary can take the tokens."""
    require(isinstance(tokens, Tensor), f"tokens are {type(tokens).__name__}, not a tensor")
    _require_dense("tokens", tokens)
    require(tokens.dim() == 2, f"tokens are {tuple(tokens.shape)}; they must be (batch, length)")
    require(tokens.dtype in TOKENS, f"tokens are {tokens.dtype}; they must be int64 or int32")
    require(
        tokens.device == weight.device,
        f"tokens are on {tokens.device} and the model on {weight.device}; move one of them",
    )
    lowest, highest = _range(tokens)
    require(
        lowest >= 0 and highest < vocabulary,
        f"tokens are from {lowest} to {highest}; this vocabulary is 0 to {vocabulary - 1}",
    )


def require_targets(targets: Any, shape: tuple[int, ...], ignored: int, vocabulary: int) -> None:
    """Raise ValueError unless there is one target for each token: a token or `ignored`."""
    require_target_shape(targets, shape)
    if not is_in_memory(targets) or targets.device.type != "cpu":
        return
    lowest, highest = _range(targets.masked_fill(targets == ignored, 0))
    require(
        lowest >= 0 and highest < vocabulary,
        f"targets are from {lowest} to {highest}; they must be 0 to {vocabulary - 1}, or {ignored} "
        "not to count",
    )


def require_target_shape(targets: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless there is one integer for each position."""
    require(isinstance(targets, Tensor), f"targets are {type(targets).__name__}, not a tensor")
    _require_dense("targets", targets)
    require(
        targets.shape == shape,
        f"targets are {tuple(targets.shape)}; there must be one for each token, {tuple(shape)}",
    )
    require(targets.dtype in TOKENS, f"targets are {targets.dtype}; they must be int64 or int32")


def require_length(length: int, longest: int, first_position: Any) -> None:
    """Raise ValueError unless a sequence fits a model of `longest` positions from there on."""
    require_integer("first_position", first_position, 0)
    require(
        first_position <= longest,
        f"first_position is {first_position}; this model has positions 0 to {longest - 1}",
    )
    fits = longest - first_position
    after = f" from first_position {first_position} on" if first_position else ""
    require(
        1 <= length <= fits,
        f"the sequence has {length} tokens; this model takes 1 to {fits}{after}",
    )


def _require_dense(name: str, x: Any) -> None:
    """Raise ValueError if this is a sparse or nested tensor, or one of another library's layout."""
    if isinstance(x, Tensor) and (x.is_nested or x.layout != torch.strided):
        kind = "nested" if x.is_nested else f"of layout {x.layout}"
        raise ValueError(f"{name}: a tensor {kind} has no rows side by side; make it dense")


def _is_vectors(x: Any) -> bool:
    if not isinstance(x, Tensor) or x.dtype not in FLOATS or is_fake_outside_its_mode(x):
        return False
    if x.is_nested or x.layout != torch.strided:
        return False
    return x.dim() == 4 and x.shape[-1] > 0


def _range(x: Tensor, anywhere: bool = False) -> tuple[int, int]:
    """Return the lowest and highest number; (0, 0) where nothing can be read."""
    if x.numel() == 0 or not is_in_memory(x) or not (anywhere or x.device.type == "cpu"):
        return 0, 0
    lowest, highest = torch.stack(x.aminmax()).tolist()
    return lowest, highest
