"""Interchangeable implementations of attention over sorted rounds.

Each is a module with `attend(qk, v, rounds, config) -> out`, shapes (batch, heads, length, width),
differentiable in qk and v and equal to reformer/reference.py.
"""

from types import ModuleType

from torch import Tensor

from reformer.config import refuse_unknown
from reformer.kernels import blocked, native, plain

KERNELS: dict[str, ModuleType] = {"plain": plain, "blocked": blocked, "native": native}


def pick(kernel: str, like: Tensor) -> str:
    """The name of the kernel that "auto" means for tensors such as `like`; other names are checked.

    On the CPU "native" where it can be compiled, else "blocked"; native.unavailable() says why.
    """
    refuse_unknown(kernel, ["auto", *KERNELS], "kernel")
    if kernel == "native":
        native.require_usable(like)
    if kernel != "auto":
        return kernel
    return "native" if like.device.type == "cpu" and not native.unavailable() else "blocked"


def choose(kernel: str, like: Tensor) -> ModuleType:
    """The module behind `pick`."""
    return KERNELS[pick(kernel, like)]
