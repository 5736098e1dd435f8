"""The config holds every setting of the dense baselines and every rule about its legal values.

Beside it stand the names of the published peers, what they compute otherwise and what they cannot
do. No torch.
"""

import importlib.util
from dataclasses import dataclass

from reformer.checks import (
    is_own,
    refuse_unknown,
    require,
    require_divides,
    require_positive_numbers,
    require_switches,
)
from reformer.config import LSHConfig, ModelConfig, ReformerConfig

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


HALF = ("bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseConfig(ModelConfig):
    """Set up the dense twin of the Reformer: the same layers around full attention.

    `attention`: "naive" (an l x l matrix), "memory_efficient" (the paper's: slices of queries,
    recomputed in the backward pass), "sdpa" (PyTorch's fused kernel), or the user's own function as
    "package.module:function" (see baselines.attention). `shared_qk`: one projection for queries and
    keys (section 2), by default over unit keys, and no position attends to itself unless alone, as
    in the Reformer. `unit_keys` False: logits are q . q / sqrt(width). `attend_self`: it may. Both
    have an effect with shared_qk only, and `logit_scale`, which multiplies q . k / |k| as in
    LSHConfig, with unit keys only. Raises ValueError on illegal values.
    """

    attention: str = "sdpa"
    shared_qk: bool = False
    unit_keys: bool = True
    attend_self: bool = False
    logit_scale: float = 1.0
    reversible: bool = False

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        require_switches(self, "shared_qk", "unit_keys", "attend_self")
        require_positive_numbers(self, "logit_scale")
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


def require_peer_attention(
    peer: str, config: LSHConfig, length: int | None = None, precision: str = "float32"
) -> None:
    """Raise ValueError where this peer has no such attention call.

    length: None if it is not known yet. precision: of the inputs.
    """
    require(config.causal, f"causal is False; the peer {peer!r} is compared in causal attention")
    if length is not None:
        config.require_length(length)
    if package_of(peer) != "reformer-pytorch":
        return
    before, pair = config.chunks_before, 2 * config.m
    require(before == 1, f"chunks_before is {before}; reformer-pytorch looks one chunk back")
    even = length is None or length % pair == 0
    require(even, f"length {length} is not a multiple of {pair}, reformer-pytorch's two chunks")
    require(
        package_of(peer) == peer or precision not in HALF,
        f"precision is {precision}; reformer-pytorch corrects duplicates in float32 only",
    )


def require_peer_model(peer: str, config: ReformerConfig) -> None:
    """Raise ValueError where this peer has no such language model."""
    lsh, dropout = config.attention, config.dropout
    if not isinstance(lsh, LSHConfig):
        raise ValueError(f"attention is {lsh!r}; a peer is measured with causal LSH attention")
    require(dropout == 0, f"dropout is {dropout}; a peer is measured without")
    require_peer_attention(peer, lsh, config.length)
    if peer != "transformers":
        require_divides(config, "d_model", "d_ff")
        return
    require(config.reversible, "reversible is False; transformers is always reversible")
    require_divides(config, "ff_chunks", "length")
    require_divides(config, "loss_chunks", "length")
    rows, columns = config.axial_positions or (1, config.length)
    require(
        rows * columns == config.length,
        f"axial_positions {rows} x {columns} hold {rows * columns} positions; transformers trains "
        f"on exactly so many, length is {config.length}",
    )
