"""The kernels are interchangeable implementations of attention over sorted rounds.

Each is a module with `attend(qk, v, rounds, config) -> out`, shapes (batch, heads, length, width),
differentiable in qk and v and equal to reformer/reference.py. One that does not run everywhere has
`require_usable(like)`, which raises ValueError where tensors such as `like` are not for it; one
that "auto" may be says why as `unfit(like)`. Some bring their twins of `draw_rotations` (with
`like` for the width), `rotate_to_buckets` (as `hash_to_buckets`) and `sort_buckets`.
"""

from types import ModuleType

from torch import Tensor

from reformer.checks import refuse_unknown
from reformer.eager import is_in_memory
from reformer.kernels import blocked, compiled, flex, native, plain, triton

KERNELS: dict[str, ModuleType] = {
    "plain": plain,
    "blocked": blocked,
    "compiled": compiled,
    "flex": flex,
    "native": native,
    "triton": triton,
}
# By device, the fastest first; where none of them can run it is "blocked".
FASTEST = {"cpu": ["native"], "cuda": ["triton", "compiled"]}


def pick(kernel: str, like: Tensor) -> str:
    """Name the kernel that "auto" means for tensors such as `like`; other names are checked.

    On the CPU "native" where it can be built, on CUDA "triton" where Triton is and the tensors fit
    it, then "compiled", else "blocked"; `fallback` says why. For tensors without memory (fake,
    wrapped, meta) it is "blocked" too. Raises ValueError on an unknown name, and on a kernel that
    cannot run there.
    """
    refuse_unknown(kernel, ["auto", *KERNELS], "kernel")
    if kernel != "auto":
        require_usable = getattr(KERNELS[kernel], "require_usable", None)
        if require_usable:
            require_usable(like)
        return kernel
    if not is_in_memory(like):
        return "blocked"
    fastest = FASTEST.get(like.device.type, [])
    return next((name for name in fastest if not KERNELS[name].unfit(like)), "blocked")


def fallback(like: Tensor) -> str:
    """Say why "auto" is not the fastest kernel there is; "" if it is."""
    fastest = FASTEST.get(like.device.type, [])
    if not fastest:
        return f"no kernel is made for {like.device.type}"
    why: str = KERNELS[fastest[0]].unfit(like)
    return why


def module_for(kernel: str, like: Tensor) -> ModuleType:
    """Return the module of the kernel that `pick` names."""
    return KERNELS[pick(kernel, like)]
