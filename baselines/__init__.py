"""Dense Transformer baselines, built from the same parts as the Reformer."""

from baselines.config import DenseConfig
from baselines.model import Dense

__all__ = ["Dense", "DenseConfig"]
