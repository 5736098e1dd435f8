"""Adapt the package reformer-pytorch (Phil Wang), as shipped or with its two switches set exactly.

Shapes: B batch, H heads, L length, W head width, R rounds.
"""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from baselines.peers.adapter import PeerAttention, import_peer
from reformer.config import LSHConfig, ReformerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ReformerPytorch:
    """Build the attention and the model of reformer-pytorch; see Adapter.

    exact: only keys of the same bucket count (eq. 4), and a pair met in several rounds counts once
    (eq. 16); the package ships with neither.
    """

    exact: bool

    def equal_config(self, config: LSHConfig, width: int) -> LSHConfig:
        """Take one bucket a chunk, and logits of unit keys multiplied by width^-1/2."""
        return replace(
            config,
            chunk_length=config.m,
            bucket_size=config.m,
            factorize_hash=False,
            within_bucket=self.exact,
            correct_duplicates=self.exact,
            logit_scale=width**-0.5,
        )

    def attention(self, config: LSHConfig) -> PeerAttention:
        """Build the package's LSHAttention, which looks one chunk back; see Adapter.

        It runs in as many pieces as there are heads, as the package's README advises for long
        sequences (`attn_chunks`): at 2,048 tokens, 4 heads and 4 rounds, on one thread, in 0.94 of
        the time and 0.82 of the memory as shipped, in 0.77 and 0.67 exact. Its model goes without:
        the reverse pass of a layer would attend with the last piece's buckets in every piece.
        """
        peer = _peer()

        def attend(qk: Tensor, v: Tensor, buckets: Tensor | None = None) -> Tensor:
            core = peer.LSHAttention(
                bucket_size=config.m,
                n_hashes=config.n_rounds,
                causal=True,
                allow_duplicate_attention=not self.exact,
                attend_across_buckets=not self.exact,
            )
            core.eval()  # in training it would keep the buckets for a reversible layer
            n_pieces = qk.shape[1]
            if buckets is not None:
                given = iter(buckets.flatten(2).flatten(0, 1).chunk(n_pieces))
                core.hash_vectors = lambda *args, **kwargs: next(given)
            in_pieces = peer.process_inputs_chunk(core, chunks=n_pieces)
            out, _, _ = in_pieces(qk.flatten(0, 1), v.flatten(0, 1))
            return out.unflatten(0, qk.shape[:2])

        return attend

    def model(self, settings: ReformerConfig, config: LSHConfig) -> nn.Module:
        """Build the package's ReformerLM, whose d_ff is a multiple of d_model; see Adapter."""
        peer = _peer()
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
            if self.exact and isinstance(module, peer.LSHAttention):
                # ReformerLM has no keywords for these two
                module._allow_duplicate_attention = module._attend_across_buckets = False
        return model


def _peer() -> Any:
    return import_peer("reformer_pytorch.reformer_pytorch")
