"""The Reformer (Kitaev et al., 2020): LSH attention, reversible layers, chunked feed-forward and loss."""

from reformer.config import LSHConfig, ReformerConfig
from reformer.hashing import hash_buckets
from reformer.lsh_attention import lsh_attention
from reformer.model import Reformer

__all__ = ["LSHConfig", "Reformer", "ReformerConfig", "hash_buckets", "lsh_attention"]
