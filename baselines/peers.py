"""The published PyTorch Reformers, reformer-pytorch and transformers, behind the interface of ours.

What runs is the peers' own code; replaced are only the projections around the attention, hashes
that are given, and the places where random numbers come from. `baselines.config.DIFFERENCES` says
what they compute otherwise than the paper, `equal_config` gives our settings that compute the same.
The packages are imported when first needed.

Shapes: B batch, H heads, L length, W head width, R rounds.
"""

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from baselines.config import PEERS
from reformer.checks import refuse_unknown, require, require_divides
from reformer.config import LSHConfig, ReformerConfig


class PeerAttention(Protocol):
    """qk, v, out: (batch, heads, length, width); buckets: (batch, heads, n_rounds, length)."""

    def __call__(self, qk: Tensor, v: Tensor, buckets: Tensor | None = None) -> Tensor: ...


def peer_attention(name: str, config: LSHConfig, seed: int) -> PeerAttention:
    """The attention core of a peer, causal and differentiable, without its projections.

    With buckets it attends with the given hash, else it draws its own: length / chunk_length
    buckets in reformer-pytorch, whose chunk is its bucket, as many as ours in transformers. `seed`
    decides the hashes; each call draws new ones, and torch's global generators stay as they are.
    Of the config count `n_rounds`, `chunk_length` and, in transformers only, `bucket_size`,
    `factorize_hash` and `chunks_before`; the rest is the peer's own, see `equal_config`. Raises
    ValueError on an unknown name, a missing package, and what the peer cannot do.
    """
    build = _reformer_pytorch_attention if _is_lucidrains(name) else _transformers_attention
    require(config.causal, f"causal is False; the peer {name!r} is compared in causal attention")
    attend, generator = build(name, config), torch.Generator().manual_seed(seed)

    def attend_apart(qk: Tensor, v: Tensor, buckets: Tensor | None = None) -> Tensor:
        config.require_length(qk.shape[-2])
        if buckets is not None:
            buckets = _number_apart(buckets, (*qk.shape[:2], config.n_rounds, qk.shape[-2]))
        with kept_generators(_draw(generator)):
            return attend(qk, v, buckets)

    return attend_apart


def equal_config(name: str, config: LSHConfig, width: int) -> LSHConfig:
    """Our settings that compute what the peer computes, at `width` numbers a head.

    reformer-pytorch multiplies the logits of unit keys by width^-1/2. transformers does not: it
    divides keys by sqrt(width) that it made sqrt(width) long. Raises ValueError on an unknown name.
    """
    lucidrains, exact = _is_lucidrains(name), name == "reformer-pytorch-exact"
    return replace(
        config,
        chunk_length=config.m,
        bucket_size=config.m if lucidrains else config.bucket_size,
        factorize_hash=config.factorize_hash and not lucidrains,
        within_bucket=exact,
        correct_duplicates=exact,
        logit_scale=width**-0.5 if lucidrains else 1.0,
    )


def peer_model(name: str, settings: ReformerConfig) -> "PeerModel":
    """The whole language model of a peer: all layers LSH attention and ReLU feed-forward, positions
    learned.

    `kernel` has no effect, nor has `loss_chunks` in reformer-pytorch; in both the logits are whole
    in memory. Raises ValueError on an unknown name, a missing package, and what the peer cannot do.
    """
    build = _reformer_pytorch_model if _is_lucidrains(name) else _transformers_model
    lsh, dropout = settings.attention, settings.dropout
    if not isinstance(lsh, LSHConfig) or not lsh.causal:
        raise ValueError(f"attention is {lsh!r}; a peer is measured with causal LSH attention")
    require(dropout == 0, f"dropout is {dropout}; a peer is measured without")
    lsh.require_length(settings.length)
    with kept_generators(settings.seed):
        return PeerModel(name, settings, build(name, settings, lsh))


class PeerModel(nn.Module):
    """tokens (batch, length) int64 to logits (batch, length, vocabulary), by a peer's code.

    All randomness comes from the settings' seed: in training each call draws new hashes, in
    evaluation every call draws the same ones. torch's global generators stay as they are.
    """

    def __init__(self, name: str, settings: ReformerConfig, peer: nn.Module) -> None:
        super().__init__()
        self.kernel, self.config, self.peer = name, settings, peer
        self.generator = torch.Generator().manual_seed(settings.seed)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (batch, length, vocabulary)."""
        with kept_generators(_draw(self.generator) if self.training else self.config.seed):
            out = self.peer(tokens)
        return out if isinstance(out, Tensor) else out.logits

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats over the targets that are not -100; a scalar."""
        return cross_entropy(self(tokens).flatten(0, 1), targets.flatten())


@contextmanager
def kept_generators(seed: int | None = None) -> Iterator[None]:
    """torch's global generators, seeded for the block if a seed is given, and put back after it."""
    generators = [torch.default_generator, *torch.cuda.default_generators]
    states = [generator.get_state() for generator in generators]
    try:
        if seed is not None:
            torch.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def _draw(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator))


def _is_lucidrains(name: str) -> bool:
    refuse_unknown(name, PEERS, "peer")
    return name.startswith("reformer-pytorch")


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0].replace("_", "-")
        raise ValueError(
            f"{package} cannot be imported ({error}): pip install -c constraints.txt -e '.[peers]'"
        ) from error


def _number_apart(buckets_BHRL: Tensor, expected: tuple[int, ...]) -> Tensor:
    """Buckets as int64, no two rounds sharing a number, which is how both peers sort the rounds."""
    require(
        tuple(buckets_BHRL.shape) == expected and not buckets_BHRL.is_floating_point(),
        f"buckets are {buckets_BHRL.dtype} {tuple(buckets_BHRL.shape)}, not integers {expected}",
    )
    first = (buckets_BHRL.max() + 1) * torch.arange(expected[2], device=buckets_BHRL.device)
    return buckets_BHRL.long() + first.unsqueeze(-1)


def _lucidrains(config: LSHConfig, length: int | None = None) -> Any:
    """The module of reformer-pytorch. Raises ValueError where it cannot do as asked."""
    before, pair = config.chunks_before, 2 * config.m
    require(before == 1, f"chunks_before is {before}; reformer-pytorch looks one chunk back")
    even = length is None or length % pair == 0
    require(even, f"length {length} is not a multiple of {pair}, reformer-pytorch's two chunks")
    return _import("reformer_pytorch.reformer_pytorch")


def _reformer_pytorch_attention(name: str, config: LSHConfig) -> Callable[..., Tensor]:
    _lucidrains(config)
    exact = name == "reformer-pytorch-exact"

    def attend(qk: Tensor, v: Tensor, buckets: Tensor | None) -> Tensor:
        attention = _lucidrains(config, qk.shape[-2]).LSHAttention(
            bucket_size=config.m,
            n_hashes=config.n_rounds,
            causal=True,
            allow_duplicate_attention=not exact,
            attend_across_buckets=not exact,
        )
        attention.eval()  # in training it would keep the buckets for a reversible layer
        if buckets is not None:
            given = buckets.flatten(2).flatten(0, 1)
            attention.hash_vectors = lambda *args, **kwargs: given
        out, _, _ = attention(qk.flatten(0, 1), v.flatten(0, 1))
        return out.unflatten(0, qk.shape[:2])

    return attend


def _reformer_pytorch_model(name: str, settings: ReformerConfig, config: LSHConfig) -> nn.Module:
    peer = _lucidrains(config, settings.length)
    require_divides(settings, "d_model", "d_ff")
    axial = settings.axial_positions
    model = peer.ReformerLM(
        num_tokens=settings.vocabulary,
        dim=settings.d_model,
        depth=settings.n_layers,
        max_seq_len=settings.length,
        heads=settings.n_heads,
        dim_head=settings.d_model // settings.n_heads,
        bucket_size=config.m,
        n_hashes=config.n_rounds,
        ff_chunks=settings.ff_chunks,
        ff_mult=settings.d_ff // settings.d_model,
        ff_activation=nn.ReLU,
        causal=True,
        reverse_thres=0 if settings.reversible else settings.length,
        absolute_position_emb=axial is None,
        axial_position_emb=axial is not None,
        axial_position_shape=axial,
    )
    for module in model.modules():
        if name == "reformer-pytorch-exact" and isinstance(module, peer.LSHAttention):
            # ReformerLM has no keywords for these two
            module._allow_duplicate_attention = module._attend_across_buckets = False
    return model


class _Projected(NamedTuple):
    """In place of hidden states: their projections, (B, H, L, W)."""

    qk: Tensor
    v: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Batch and length, all that the peer asks of hidden states."""
        return self.qk.shape[0], self.qk.shape[2]


def _transformers_attention(name: str, config: LSHConfig) -> Callable[..., Tensor]:
    peer = _import("transformers.models.reformer.modeling_reformer")

    @functools.cache
    def build(n_heads: int, length: int, width: int, device: torch.device) -> Any:
        options = _transformers_options(config, length, n_heads, width)
        attention = peer.LSHSelfAttention(peer.ReformerConfig(**options, hidden_size=width))
        del attention.query_key, attention.value
        attention.query_key, attention.value = attrgetter("qk"), attrgetter("v")
        attention._split_hidden_size_dim = lambda x, *args: x
        attention._merge_hidden_size_dims = lambda x, *args: x
        return attention.eval().to(device)

    def attend(qk: Tensor, v: Tensor, buckets: Tensor | None) -> Tensor:
        attention = build(*qk.shape[1:], qk.device)
        return attention(_Projected(qk, v), buckets=buckets).hidden_states

    return attend


def _transformers_options(config: LSHConfig, length: int, heads: int, width: int) -> dict[str, Any]:
    factors = config.hash_factors(length)
    return {
        "is_decoder": True,
        "attn_layers": ["lsh"],
        "num_attention_heads": heads,
        "attention_head_size": width,
        "num_hashes": config.n_rounds,
        "num_buckets": list(factors) if len(factors) > 1 else max(2, factors[0]),
        "lsh_attn_chunk_length": config.m,
        "lsh_num_chunks_before": config.chunks_before,
        "lsh_attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": length,
    }


def _transformers_model(name: str, settings: ReformerConfig, config: LSHConfig) -> nn.Module:
    peer = _import("transformers.models.reformer.modeling_reformer")
    require(settings.reversible, "reversible is False; transformers is always reversible")
    require_divides(settings, "ff_chunks", "length")
    require_divides(settings, "loss_chunks", "length")
    length, d_model, axial = settings.length, settings.d_model, settings.axial_positions
    heads = settings.n_heads
    options = _transformers_options(config, length, heads, d_model // heads) | {
        "attn_layers": ["lsh"] * settings.n_layers,
        "vocab_size": settings.vocabulary,
        "hidden_size": d_model,
        "feed_forward_size": settings.d_ff,
        "hidden_act": "relu",
        "hidden_dropout_prob": 0.0,
        "chunk_size_feed_forward": length // settings.ff_chunks if settings.ff_chunks > 1 else 0,
        "chunk_size_lm_head": length // settings.loss_chunks if settings.loss_chunks > 1 else 0,
        "axial_pos_embds": axial is not None,
        "axial_pos_shape": axial or (1, length),
        "axial_pos_embds_dim": (d_model // 4, d_model - d_model // 4),  # as in positions.py
        "use_cache": False,
        "pad_token_id": None,  # else it looks for padding in every batch
    }
    model = peer.ReformerModelWithLMHead(peer.ReformerConfig(**options))
    for layer in model.reformer.encoder.layers:
        # its own would seed torch's generators from entropy, and again in the backward pass
        layer._init_attention_seed = functools.partial(_seed_branch, layer, "attention_seed")
        layer._init_feed_forward_seed = functools.partial(_seed_branch, layer, "feed_forward_seed")
        layer.backward_pass = kept_generators()(layer.backward_pass)
    return model.train()


def _seed_branch(layer: Any, field: str) -> None:
    setattr(layer, field, _draw(torch.default_generator))
    torch.manual_seed(getattr(layer, field))
