"""Run the published PyTorch Reformers, reformer-pytorch and transformers, behind our interface.

What runs is the peers' own code; replaced are only the projections around the attention, hashes
that are given, and the places where random numbers come from. `baselines.config.DIFFERENCES` says
what they compute otherwise than the paper, `equal_config` gives our settings that compute the same.
Each peer has its adapter in a file of its own, and its package is imported when first needed.

They run in the best setting that their documentation allows for the same function. reformer-pytorch
makes a call in pieces (`attn_chunks`), not its layers, whose gradients would be wrong. Left out is
what would attend otherwise (`full_attn_thres`, `use_full_attn`, `n_local_attn_heads`) or be another
model (`weight_tie`, `one_value_head`, `num_mem_kv`, `emb_dim`); `reverse_thres` follows our
`reversible`. transformers has as many buckets as ours, length / bucket size, as its documentation
advises for a chunk of one bucket; left to itself it takes twice as many, in the same time; its
`hash_seed` is for tests. Feed-forward and output in pieces (`ff_chunks`, `chunk_size_feed_forward`,
`chunk_size_lm_head`) are passed on: at 1,024 tokens and 2 layers they change neither time nor
memory by 5 %.

Shapes: B batch, H heads, L length, R rounds.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from baselines.config import PEERS, require_peer_attention, require_peer_model
from baselines.peers.adapter import Adapter, PeerAttention
from baselines.peers.generators import draw_seed, kept_generators
from baselines.peers.reformer_pytorch import ReformerPytorch
from baselines.peers.transformers import Transformers
from reformer.checks import refuse_unknown, require
from reformer.config import LSHConfig, ReformerConfig
from reformer.eager import eagerly

__all__ = ["ADAPTERS", "PeerAttention", "PeerModel", "equal_config", "peer_attention", "peer_model"]

ADAPTERS: dict[str, Adapter] = {
    "reformer-pytorch": ReformerPytorch(exact=False),
    "reformer-pytorch-exact": ReformerPytorch(exact=True),
    "transformers": Transformers(),
}


def peer_attention(name: str, config: LSHConfig, seed: int) -> PeerAttention:
    """Build the attention core of a peer: causal, differentiable, without its projections.

    With buckets it attends with the given hash, else it draws its own: length / chunk_length
    buckets in reformer-pytorch, whose chunk is its bucket, as many as ours in transformers. `seed`
    decides the hashes; each call draws new ones, and torch's global generators stay as they are.
    Of the config count `n_rounds`, `chunk_length` and, in transformers only, `bucket_size`,
    `factorize_hash` and `chunks_before`; the rest is the peer's own, see `equal_config`. On inputs
    of bfloat16 a position that is alone in every round gets n_rounds times its own value: the
    peers' penalty of the position itself swallows the logarithm of n_rounds. Raises ValueError on
    an unknown name, a missing package, and what the peer cannot do.
    """
    adapter = _adapter(name)
    require_peer_attention(name, config)
    attend, generator = adapter.attention(config), torch.Generator().manual_seed(seed)

    @eagerly
    def attend_apart(qk: Tensor, v: Tensor, buckets: Tensor | None = None) -> Tensor:
        precision = str(qk.dtype).removeprefix("torch.")
        require_peer_attention(name, config, qk.shape[-2], precision)
        if buckets is not None:
            buckets = _number_apart(buckets, (*qk.shape[:2], config.n_rounds, qk.shape[-2]))
        with kept_generators(draw_seed(generator)):
            return attend(qk, v, buckets)

    return attend_apart


def equal_config(name: str, config: LSHConfig, width: int) -> LSHConfig:
    """Change our settings so that we compute what the peer computes, at `width` numbers a head.

    Raises ValueError on an unknown name.
    """
    return _adapter(name).equal_config(config, width)


def peer_model(name: str, settings: ReformerConfig) -> "PeerModel":
    """Build the whole language model of a peer, every layer with LSH attention.

    The feed-forward layers have ReLU, the positions are learned. `kernel` has no effect, nor has
    `loss_chunks` in reformer-pytorch; in both the logits are whole in memory. Raises ValueError on
    an unknown name, a missing package, and what the peer cannot do.
    """
    adapter, lsh = _adapter(name), settings.attention
    require_peer_model(name, settings)
    assert isinstance(lsh, LSHConfig)
    with kept_generators(settings.seed):
        return PeerModel(name, settings, adapter.model(settings, lsh))


class PeerModel(nn.Module):
    """Turn tokens (batch, length) int64 into logits (batch, length, vocabulary) by a peer's code.

    All randomness comes from the settings' seed: in training each call draws new hashes, in
    evaluation every call draws the same ones. torch's global generators stay as they are.
    """

    def __init__(self, name: str, settings: ReformerConfig, peer: nn.Module) -> None:
        super().__init__()
        self.kernel, self.config, self.peer = name, settings, peer
        self.generator = torch.Generator().manual_seed(settings.seed)

    @eagerly
    def forward(self, tokens: Tensor) -> Tensor:
        """Compute the logits (batch, length, vocabulary)."""
        with kept_generators(draw_seed(self.generator) if self.training else self.config.seed):
            out = self.peer(tokens)
        return out if isinstance(out, Tensor) else out.logits

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Average the cross-entropy in nats over the targets that are not -100; a scalar."""
        return cross_entropy(self(tokens).flatten(0, 1), targets.flatten())


def _adapter(name: str) -> Adapter:
    refuse_unknown(name, PEERS, "peer")
    return ADAPTERS[name]


def _number_apart(buckets_BHRL: Tensor, expected: tuple[int, ...]) -> Tensor:
    """Give no two rounds the same bucket number, which is how both peers sort the rounds; int64."""
    require(
        tuple(buckets_BHRL.shape) == expected and not buckets_BHRL.is_floating_point(),
        f"buckets are {buckets_BHRL.dtype} {tuple(buckets_BHRL.shape)}, not integers {expected}",
    )
    first = (buckets_BHRL.max() + 1) * torch.arange(expected[2], device=buckets_BHRL.device)
    return buckets_BHRL.long() + first.unsqueeze(-1)
