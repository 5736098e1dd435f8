"""Triton kernels are launched by what was compiled for the same arguments before.

Triton looks at every argument of a launch to find it, which takes longer than a small kernel runs.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
from torch import Tensor
from triton.runtime.interpreter import InterpretedFunction

_compiled: dict[tuple[Any, ...], Any] = {}


def launch(
    kernel: Any,
    programs: int,
    tensors: Sequence[Tensor],
    numbers: tuple[float, ...],
    constants: dict[str, Any],
    **options: int,
) -> None:
    """Launch `kernel` with these arguments, in the order of its signature, on so many programs.

    options: num_warps and num_stages. Numbers that do not decide what is compiled are named in the
    kernel's do_not_specialize, and are the last of `numbers`.
    """
    if isinstance(kernel, InterpretedFunction):
        kernel[(programs,)](*tensors, *numbers, **constants)
        return
    deciding = numbers[: len(numbers) - len(kernel.do_not_specialize)]
    key = (
        *(kernel.fn, tensors[0].device.index, deciding, *constants.values(), *options.values()),
        *((x.dtype, x.data_ptr() % 16) for x in tensors),
    )
    ready = _compiled.get(key)
    if ready is None:
        _compiled[key] = kernel[(programs,)](*tensors, *numbers, **constants, **options)
    else:
        ready[(programs, 1, 1)](*tensors, *numbers, *constants.values())


def on_device_of(x: Tensor) -> AbstractContextManager[Any]:
    """Launch on the GPU of x, whichever is current."""
    return torch.cuda.device(x.device) if x.device.type == "cuda" else nullcontext()


def padded(n: int) -> int:
    """Round up to a power of two that a matrix product of Triton takes."""
    return max(16, int(triton.next_power_of_2(n)))
