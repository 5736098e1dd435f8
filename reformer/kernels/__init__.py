"""The kernels are interchangeable implementations of attention over sorted rounds.

Each is a module with `attend(qk, v, rounds, config) -> out`, shapes (batch, heads, length, width),
differentiable in qk and v and equal to reformer/reference.py. One that does not run everywhere has
`require_usable(like)`, which raises ValueError where tensors such as `like` are not for it.
"""

from types import ModuleType

import torch
from torch import Tensor

from reformer.checks import refuse_unknown
from reformer.eager import is_in_memory
from reformer.kernels import blocked, compiled, flex, native, plain, torch_compile

KERNELS: dict[str, ModuleType] = {
    "plain": plain,
    "blocked": blocked,
    "compiled": compiled,
    "flex": flex,
    "native": native,
}


def pick(kernel: str, like: Tensor) -> str:
    """Name the kernel that "auto" means for tensors such as `like`; other names are checked.

    On the CPU "native" where it can be built, on CUDA "compiled" where Triton is, else "blocked";
    `fallback` says why. For tensors without memory (fake, wrapped, meta) it is "blocked" too.
    Raises ValueError on an unknown name, and on a kernel that cannot run there.
    """
    refuse_unknown(kernel, ["auto", *KERNELS], "kernel")
    if kernel != "auto":
        require_usable = getattr(KERNELS[kernel], "require_usable", None)
        if require_usable:
            require_usable(like)
        return kernel
    if not is_in_memory(like) or fallback(like.device):
        return "blocked"
    return "native" if like.device.type == "cpu" else "compiled"


def fallback(device: torch.device) -> str:
    """Say why "auto" is "blocked" on this device; "" if something faster runs there."""
    return native.unavailable() if device.type == "cpu" else torch_compile.unavailable(device)


def module_for(kernel: str, like: Tensor) -> ModuleType:
    """Return the module of the kernel that `pick` names."""
    return KERNELS[pick(kernel, like)]
