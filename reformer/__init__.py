"""The Reformer (Kitaev et al., 2020) computes attention by hashing and stores few activations.

Its three parts are LSH attention, reversible layers, and feed-forward layers and a loss that are
computed in pieces of the length. PyTorch is imported when it is first needed, so that suites,
reports and the command line can do with the configs.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from reformer.config import LSHConfig, ReformerConfig

if TYPE_CHECKING:
    from reformer.hashing import hash_buckets
    from reformer.lsh_attention import lsh_attention
    from reformer.model import Reformer

__all__ = ["LSHConfig", "Reformer", "ReformerConfig", "hash_buckets", "lsh_attention"]

HOMES = {"Reformer": "model", "hash_buckets": "hashing", "lsh_attention": "lsh_attention"}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Importing the file lsh_attention.py would put the module in the place of its function.
        if isinstance(value, ModuleType) and HOMES.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
