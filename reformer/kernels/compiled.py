"""This kernel is that of blocked.py with the work on each full block through torch.compile.

Mask, log N_ij, softmax and their backward pass become loops between the products. Every full block
has the same shape, so one compilation each way serves all lengths that fill a block; the rest of a
round, a smaller block, runs as in blocked.py.
"""

from torch import Tensor

from reformer.config import LSHConfig
from reformer.eager import eagerly, require_in_memory
from reformer.kernels import blocked, torch_compile
from reformer.kernels.by_hand import Passes, attend_by
from reformer.sorting import SortedRounds


def unfit(like: Tensor) -> str:
    """Say why torch.compile does not work where `like` is; "" if it does."""
    return torch_compile.unavailable(like.device)


def require_usable(like: Tensor) -> None:
    """Raise ValueError unless torch.compile works where `like` is."""
    torch_compile.require_compiler("compiled", like)
    require_in_memory("compiled", like)


@eagerly
def attend(qk: Tensor, v: Tensor, rounds: SortedRounds, config: LSHConfig) -> Tensor:
    """Attend over sorted rounds, (batch, heads, length, width).

    Raises ValueError where torch.compile does not work.
    """
    require_usable(qk)
    return attend_by(passes(), qk, v, rounds, config)


def passes() -> Passes:
    """Return the two passes of blocked.py with compiled steps."""
    steps = (blocked.forward_block, blocked.backward_block)
    return blocked.passes(blocked.Steps(*map(torch_compile.compile_static, steps)))
