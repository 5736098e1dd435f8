"""Has a module hooks, or a forward of its own?"""

from typing import Any

import torch
from torch import nn


def has_hooks_of_all_modules() -> bool:
    """Has PyTorch hooks that it runs at the call of every module?"""
    return bool(torch.nn.modules.module._has_any_global_hook())


def hooks_of_all_modules() -> list[Any]:
    """Return the hooks that PyTorch runs at the forward call of every module."""
    here = torch.nn.modules.module
    return [*here._global_forward_pre_hooks.values(), *here._global_forward_hooks.values()]


def is_called_plainly(module: nn.Module, home: type[nn.Module]) -> bool:
    """Does calling the module run the forward of class `home`, and nothing else?"""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(vars(module)[name] for name in hooks) or "forward" in vars(module):
        return False
    return type(module).forward is home.forward
