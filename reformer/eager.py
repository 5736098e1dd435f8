"""Hashes and kernels run eagerly under torch.compile, and are refused under what only records.

A tracer records what operators do to stand-ins for tensors. It does not see what is drawn from a
generator, nor what a kernel does behind a pointer, and its recording would be silently wrong.
torch.compile can end its graph before such a call and go on after it. torch.jit.trace,
torch.export, make_fx and the transforms of torch.func cannot.
"""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

F = TypeVar("F", bound=Callable[..., Any])

# What torch.compile(fullgraph=True) says beside the name of the function.
REASON = "it draws hashes or runs kernels that no graph holds; compile without fullgraph=True"
_MODES = torch._C._TorchDispatchModeKey


def eagerly(function: F, name: str = "") -> F:
    """Run a function as it is written, also in a compiled caller, whose graph ends before it.

    The function raises RuntimeError under a tracer that cannot end its graph. name: the one by
    which callers know it; by default its own.
    """
    made: list[Callable[..., Any]] = []

    def checked(*args: Any, **kwargs: Any) -> Any:
        refuse_tracers(name or function.__qualname__)
        return function(*args, **kwargs)

    def outside_graphs(*args: Any, **kwargs: Any) -> Any:
        if not made:
            made.append(torch.compiler.disable(checked))
        return made[0](*args, **kwargs)

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if "torch._dynamo" in sys.modules:  # 1.2 s of import, which only torch.compile needs
            return outside_graphs(*args, **kwargs)
        return checked(*args, **kwargs)

    for marked in (run, outside_graphs):  # as torch.compiler.disable marks what it returns
        marked._torchdynamo_disable = True  # type: ignore[attr-defined]
        marked._torchdynamo_disable_msg = REASON  # type: ignore[attr-defined]
    return cast(F, run)


def refuse_tracers(name: str) -> None:
    """Raise RuntimeError if a tracer would record the function of this name wrongly."""
    if torch._C._are_functorch_transforms_active():
        raise RuntimeError(
            f"{name} does not run under the transforms of torch.func (grad, vmap, jvp, ...); take "
            "gradients with torch.autograd, and map over the batch dimension"
        )
    is_recorded = torch.jit.is_tracing() or torch.compiler.is_compiling() or _is_on(_MODES.PROXY)
    is_recorded |= torch._ops._get_dispatch_mode_pre_dispatch(_MODES.PROXY) is not None
    if is_recorded:
        raise RuntimeError(
            f"{name} cannot be recorded by torch.jit.trace, torch.export or make_fx, which do "
            "not see hashes and kernels; call it eagerly, or in torch.compile without fullgraph"
        )


def is_in_memory(x: Tensor) -> bool:
    """Does a pointer to this tensor lead to its numbers?

    Not where PyTorch wraps or fakes it, nor while all new tensors are fake.
    """
    if not isinstance(x, Tensor):  # nothing but a device to pick a kernel for
        return True
    if type(x).__torch_dispatch__ is not Tensor.__torch_dispatch__ or x.layout != torch.strided:
        return False
    if x.is_nested or _is_on(_MODES.FAKE) or _is_on(_MODES.FUNCTIONAL):
        return False
    try:
        return x.numel() == 0 or x.data_ptr() != 0
    except RuntimeError:  # a wrapper of torch.func or of a batch of gradients
        return False


def is_fake_outside_its_mode(x: Tensor) -> bool:
    """Is this a fake tensor where new tensors, which it is to meet, are not fake?"""
    return getattr(x, "fake_mode", None) is not None and not _is_on(_MODES.FAKE)


def require_in_memory(kernel: str, *tensors: Tensor) -> None:
    """Raise ValueError unless pointers to these tensors lead to their numbers."""
    for x in tensors:
        if not is_in_memory(x):
            raise ValueError(
                f'kernel "{kernel}" reads memory, and this {type(x).__name__} of {x.layout} has '
                'none: it is fake or wrapped; use "plain"'
            )


def _is_on(mode: Any) -> bool:
    return torch._C._get_dispatch_mode(mode) is not None
