"""The config holds every setting of the dense baselines and every rule about its legal values.

Beside it stand the names of the published peers and what they compute otherwise. No torch.
"""

import importlib.util
from dataclasses import dataclass

from reformer.checks import is_own, refuse_unknown, require, require_switches
from reformer.config import ModelConfig

ATTENTIONS = ("naive", "memory_efficient", "sdpa")

# Published Reformers, each behind an adapter in baselines/peers/, and where no setting makes them
# compute what ours does: labels of tables and figures. tests/test_peers.py holds the evidence.
PEERS = ("reformer-pytorch", "reformer-pytorch-exact", "transformers")
DIFFERENCES = {
    "reformer-pytorch": "as shipped: keys of other buckets count, a pair met in several rounds "
    "counts several times, a round's first chunk looks back into the round before, logits are "
    "divided by sqrt(width), and a chunk is one mean bucket (half the paper's buckets)",
    "reformer-pytorch-exact": "with the paper's bucket mask and duplicate correction: logits are "
    "divided by sqrt(width), a chunk is one mean bucket (half the paper's buckets), and in float32 "
    "the output of a position alone in every round is off by up to 0.2 %",
    "transformers": "keys of other buckets count, a pair met in several rounds counts several "
    "times, a round's first chunk looks back into the round before, and in float32 the output of a "
    "position alone in every round is off by up to 0.4 %",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseConfig(ModelConfig):
    """Set up the dense twin of the Reformer: the same layers around full attention.

    `attention`: "naive" (an l x l matrix), "memory_efficient" (the paper's: slices of queries,
    recomputed in the backward pass), "sdpa" (PyTorch's fused kernel), or the user's own function as
    "package.module:function" (see baselines.attention). `shared_qk`: one projection for queries and
    keys (section 2). Raises ValueError on illegal values.
    """

    attention: str = "sdpa"
    shared_qk: bool = False
    reversible: bool = False

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        require_switches(self, "shared_qk")
        require(
            isinstance(self.attention, str), f"attention is {self.attention!r}; it must be a name"
        )
        if not is_own(self.attention):
            refuse_unknown(self.attention, ATTENTIONS, "attention")


def package_of(peer: str) -> str:
    """The name under which a peer is installed."""
    return peer.removesuffix("-exact")


def require_installed(peer: str) -> None:
    """Raise ValueError unless the package of this peer can be found."""
    package = package_of(peer)
    require(
        importlib.util.find_spec(package.replace("-", "_")) is not None,
        f"{package} is not installed: pip install -c constraints.txt -e '.[peers]'",
    )
