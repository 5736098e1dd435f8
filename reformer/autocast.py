"""Autocast is switched off, or kept for the backward pass, on the devices that have it.

Meta tensors have none, and asking for it is an error.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def without_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """Switch autocast off where `x` is."""
    kind = x.device.type
    is_on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if is_on else nullcontext()


def autocast_device(x: Tensor) -> str:
    """Name the type of device whose autocast holds for `x`; the CPU's, without effect, on meta."""
    return x.device.type if torch.amp.is_autocast_available(x.device.type) else "cpu"
