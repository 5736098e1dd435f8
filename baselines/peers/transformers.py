"""Adapt the Reformer of the package transformers (Hugging Face).

Shapes: B batch, H heads, L length, W head width.
"""

import functools
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from baselines.peers.adapter import PeerAttention, import_peer
from baselines.peers.generators import draw_seed, kept_generators
from reformer.config import LSHConfig, ReformerConfig

MODULE = "transformers.models.reformer.modeling_reformer"


class Transformers:
    """Build the attention and the model of transformers; see Adapter."""

    def equal_config(self, config: LSHConfig, width: int) -> LSHConfig:
        """Let keys of other buckets count, and a pair as often as it is met.

        The logits are ours at any width: the peer divides keys by sqrt(width) that it made
        sqrt(width) long.
        """
        return replace(
            config,
            chunk_length=config.m,
            within_bucket=False,
            correct_duplicates=False,
            logit_scale=1.0,
        )

    def attention(self, config: LSHConfig) -> PeerAttention:
        """Build the package's LSHSelfAttention without its projections; see Adapter."""
        peer = import_peer(MODULE)

        @functools.cache
        def build(n_heads: int, length: int, width: int, device: torch.device) -> Any:
            options = _options(config, length, n_heads, width)
            # it outlives the call, and autograd takes no buffer that was made in inference mode
            with torch.inference_mode(False), torch.device("cpu"):
                core = peer.LSHSelfAttention(peer.ReformerConfig(**options, hidden_size=width))
            del core.query_key, core.value
            core.query_key, core.value = attrgetter("qk"), attrgetter("v")
            core._split_hidden_size_dim = lambda x, *args: x
            core._merge_hidden_size_dims = lambda x, *args: x
            return core.eval().to(device)

        def attend(qk: Tensor, v: Tensor, buckets: Tensor | None = None) -> Tensor:
            core = build(*qk.shape[1:], qk.device)
            return core(_Projected(qk, v), buckets=buckets).hidden_states

        return attend

    def model(self, settings: ReformerConfig, config: LSHConfig) -> nn.Module:
        """Build the package's ReformerModelWithLMHead, always reversible; see Adapter."""
        peer = import_peer(MODULE)
        model = peer.ReformerModelWithLMHead(
            peer.ReformerConfig(**_model_options(settings, config))
        )
        for layer in model.reformer.encoder.layers:
            # its own would seed torch's generators from entropy, and again in the backward pass
            layer._init_attention_seed = functools.partial(_seed_branch, layer, "attention_seed")
            layer._init_feed_forward_seed = functools.partial(
                _seed_branch, layer, "feed_forward_seed"
            )
            layer.backward_pass = kept_generators()(layer.backward_pass)
        return model.train()


class _Projected(NamedTuple):
    """Stand where the peer expects hidden states, and hold their projections (B, H, L, W)."""

    qk: Tensor
    v: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Batch and length are all that the peer asks of hidden states."""
        return self.qk.shape[0], self.qk.shape[2]


def _options(config: LSHConfig, length: int, heads: int, width: int) -> dict[str, Any]:
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


def _model_options(settings: ReformerConfig, config: LSHConfig) -> dict[str, Any]:
    length, d_model, axial = settings.length, settings.d_model, settings.axial_positions
    return _options(config, length, settings.n_heads, d_model // settings.n_heads) | {
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


def _seed_branch(layer: Any, field: str) -> None:
    setattr(layer, field, draw_seed(torch.default_generator))
    torch.manual_seed(getattr(layer, field))
