"""The dense twin of the Reformer puts full attention into the same language model.

Shapes: B batch, H heads, L length, W head width, D model width.
"""

from torch import Tensor, nn

from baselines.attention import find_attention
from baselines.config import DenseConfig
from reformer.checks import require
from reformer.choices import Choices
from reformer.language_model import LanguageModel
from reformer.precision import normalized
from reformer.reversible import Branch, dropout


class Dense(LanguageModel):
    """Run the dense Transformer language model; see LanguageModel and DenseConfig."""

    config: DenseConfig

    def __init__(self, config: DenseConfig) -> None:
        require(
            isinstance(config, DenseConfig),
            f"config is {type(config).__name__}; Dense takes a DenseConfig",
        )
        super().__init__(config, lambda _: DenseAttention(config))

    @property
    def kernel(self) -> str:
        """Name the implementation of attention, which is the config's."""
        return self.config.attention


class DenseAttention(Branch):
    """Apply LayerNorm, projections, causal full attention and an output projection."""

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.d_model)
        self.to_q = nn.Linear(config.d_model, config.d_model, bias=False)
        self.to_k = (
            None if config.shared_qk else nn.Linear(config.d_model, config.d_model, bias=False)
        )
        self.to_v = nn.Linear(config.d_model, config.d_model, bias=False)
        self.merge = nn.Linear(config.d_model, config.d_model, bias=False)
        self.attend = find_attention(config.attention)
        self.n_heads, self.p = config.n_heads, config.dropout
        self.unit_keys = config.shared_qk and config.unit_keys
        self.logit_scale = config.logit_scale
        self.exclude_self = config.shared_qk and not config.attend_self

    def forward(self, x_BLD: Tensor, choices: Choices) -> Tensor:
        """Compute the branch (batch, length, d_model); see Branch."""
        x_BLD = self.norm(x_BLD)
        q_BHLW, v_BHLW = self._heads(self.to_q(x_BLD)), self._heads(self.to_v(x_BLD))
        k_BHLW = q_BHLW if self.to_k is None else self._heads(self.to_k(x_BLD))
        scale = self.logit_scale if self.unit_keys else q_BHLW.shape[-1] ** -0.5
        if self.unit_keys:
            k_BHLW = normalized(k_BHLW)
        out_BHLW = self.attend(q_BHLW, k_BHLW, v_BHLW, scale, self.exclude_self)
        out_BLD = self.merge(out_BHLW.transpose(1, 2).flatten(2))
        return dropout(out_BLD, self.p, self.mask_generator(x_BLD, choices))

    def _heads(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
