"""Every setting of the dense baselines and every rule about its legal values. No torch."""

from dataclasses import dataclass

from reformer.config import ModelConfig, refuse_unknown

ATTENTIONS = ("naive", "memory_efficient", "sdpa")


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseConfig(ModelConfig):
    """The dense twin of the Reformer: the same layers around full attention.

    `attention`: "naive" (an l x l matrix), "memory_efficient" (the paper's: slices of queries,
    recomputed in the backward pass) or "sdpa" (PyTorch's fused kernel). `shared_qk`: one projection
    for queries and keys (section 2).
    """

    attention: str = "sdpa"
    shared_qk: bool = False
    reversible: bool = False

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        refuse_unknown(self.attention, ATTENTIONS, "attention")
