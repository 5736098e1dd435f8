"""The baselines are dense Transformers built from the Reformer's parts, and published Reformers.

PyTorch is imported when first needed.
"""

from typing import TYPE_CHECKING, Any

from baselines.config import DenseConfig

if TYPE_CHECKING:
    from baselines.model import Dense

__all__ = ["Dense", "DenseConfig"]


def __getattr__(name: str) -> Any:
    if name != "Dense":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from baselines.model import Dense

    return Dense
