"""Triton kernels are launched by what was compiled for the same arguments before.

Triton looks at every argument of a launch to find it, which takes longer than a small kernel runs.
"""

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
from torch import Tensor
from triton.runtime.interpreter import InterpretedFunction


class Launches:
    """One kernel with several sets of constants, to be launched one after the other.

    programs: of each launch. numbers: but for the last, which each call gives. constants: in the
    order of the kernel's signature, after the tensors and numbers. options: num_warps and the like.
    """

    def __init__(
        self,
        kernel: Any,
        programs: int,
        numbers: Sequence[float],
        constants: Sequence[dict[str, Any]],
        options: dict[str, int] | None = None,
    ) -> None:
        self.kernel, self.grid, self.numbers = kernel, (programs, 1, 1), tuple(numbers)
        self.constants, self.options = list(constants), options or {}
        self.values = [tuple(one.values()) for one in constants]
        self.compiled: list[Any] = []

    def run(self, tensors: Sequence[Tensor], *last: int) -> None:
        """Launch all; later calls must have tensors of the same dtypes, aligned alike.

        last: numbers that decide nothing of what is compiled.
        """
        if self.grid[0] == 0:
            return
        if self.compiled:
            # as Triton launches them, but that it asks the driver about each tensor of each launch,
            # and calls the hooks of profilers, which see the first launches only
            arguments = (*[x.data_ptr() for x in tensors], *self.numbers, *last)
            stream = triton.runtime.driver.active.get_current_stream(tensors[0].device.index)
            for one, values in zip(self.compiled, self.values, strict=True):
                how = (stream, one.function, one.packed_metadata, None, None, None)
                one.run(*self.grid, *how, *arguments, *values)
            return
        arguments = (*tensors, *self.numbers, *last)
        found = [
            self.kernel[self.grid](*arguments, **constants, **self.options)
            for constants in self.constants
        ]
        if not isinstance(self.kernel, InterpretedFunction):
            self.compiled = found


_prepared: dict[Hashable, Launches] = {}


def launch(
    key: tuple[Hashable, ...],
    prepare: Callable[[], Launches],
    tensors: Sequence[Tensor],
    *last: int,
) -> None:
    """Launch what `prepare` makes, or what it made for the same key and such tensors before.

    key: what decides the launches beside the dtypes, alignment and device of the tensors. last:
    numbers of which they do not depend.
    """
    aligned = [x.data_ptr() % 16 == 0 for x in tensors]
    whole = (key, tensors[0].device, *[x.dtype for x in tensors], *aligned)
    found = _prepared.get(whole)
    if found is None:
        found = _prepared[whole] = prepare()
    found.run(tensors, *last)


def on_device_of(x: Tensor) -> AbstractContextManager[Any]:
    """Launch on the GPU of x, whichever is current."""
    if x.device.type != "cuda" or x.device.index == torch.cuda.current_device():
        return nullcontext()
    return torch.cuda.device(x.device)


def is_captured(x: Tensor) -> bool:
    """Is a CUDA graph recording what the GPU of x is asked to do?"""
    if x.device.type != "cuda":
        return False
    with on_device_of(x):
        return torch.cuda.is_current_stream_capturing()


def padded(n: int) -> int:
    """Round up to a power of two that a matrix product of Triton takes."""
    return max(16, power_of_2(n))


def power_of_2(n: int) -> int:
    """Round up to a power of two; Triton's own function, made for kernels, takes 4 us."""
    return 1 << (n - 1).bit_length()


def cdiv(n: int, divisor: int) -> int:
    """Divide and round up; Triton's own function, made for kernels, takes 4 us."""
    return -(-n // divisor)
