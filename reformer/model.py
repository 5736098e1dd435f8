"""The Reformer puts LSH or full shared-QK attention into the language model of language_model.py.

Shapes: B batch, H heads, L length, W head width, D model width.
"""

from torch import Tensor, nn
from torch.nn.functional import pad

from reformer import kernels
from reformer.checks import require
from reformer.choices import Choices
from reformer.config import LayerAttention, LSHConfig, ReformerConfig
from reformer.full_attention import fused_attention
from reformer.language_model import LanguageModel
from reformer.precision import normalized
from reformer.reversible import Branch, dropout
from reformer.rounds import attend_rounds, hash_and_sort


class Reformer(LanguageModel):
    """Run the Reformer language model; see LanguageModel and ReformerConfig.

    Any length up to `config.length`: sequences that the chunks do not divide are padded and masked
    inside.
    """

    config: ReformerConfig

    def __init__(self, config: ReformerConfig) -> None:
        require(
            isinstance(config, ReformerConfig),
            f"config is {type(config).__name__}; Reformer takes a ReformerConfig",
        )
        super().__init__(config, lambda layer: SharedQKAttention(config, config.attentions[layer]))

    @property
    def kernel(self) -> str:
        """Name the implementation of attention that runs in this model's type on its device."""
        if all(attention == "dense" for attention in self.config.attentions):
            return "sdpa"
        n_heads = self.config.n_heads
        one_position = (1, n_heads, 1, self.config.d_model // n_heads)
        return kernels.pick(self.config.kernel, self.embedding.weight.new_empty(one_position))


class SharedQKAttention(Branch):
    """Attend with shared queries and keys between LayerNorm and an output projection.

    Section 2 of the paper; see ReformerConfig for what attends.
    """

    def __init__(self, config: ReformerConfig, attention: LayerAttention) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.d_model)
        self.to_qk = nn.Linear(config.d_model, config.d_model, bias=False)
        self.to_v = nn.Linear(config.d_model, config.d_model, bias=False)
        self.merge = nn.Linear(config.d_model, config.d_model, bias=False)
        self.attention, self.kernel = attention, config.kernel
        self.n_heads, self.p = config.n_heads, config.dropout

    def forward(self, x_BLD: Tensor, choices: Choices) -> Tensor:
        """Compute the branch (batch, length, d_model); see Branch."""
        x_BLD = self.norm(x_BLD)
        qk_BHLW, v_BHLW = (
            project(x_BLD).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for project in (self.to_qk, self.to_v)
        )
        if isinstance(self.attention, LSHConfig):
            out_BHLW = self._lsh(qk_BHLW, v_BHLW, self.attention, choices)
        else:
            k_BHLW = normalized(qk_BHLW)
            out_BHLW = fused_attention(qk_BHLW, k_BHLW, v_BHLW, 1.0, exclude_self=True)
        out_BLD = self.merge(out_BHLW.transpose(1, 2).flatten(2))
        return dropout(out_BLD, self.p, self.mask_generator(x_BLD, choices))

    def _lsh(self, qk: Tensor, v: Tensor, config: LSHConfig, choices: Choices) -> Tensor:
        length = qk.shape[-2]
        missing = -length % config.m
        if missing:
            qk, v = pad(qk, (0, 0, 0, missing)), pad(v, (0, 0, 0, missing))
        if choices.rounds is None:
            choices.rounds = hash_and_sort(
                qk,
                config,
                generator=choices.generator(),
                valid_length=length,
                kernel=self.kernel,
            )
        return attend_rounds(qk, v, choices.rounds, config, self.kernel)[..., :length, :]
