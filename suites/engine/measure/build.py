"""What is measured is built from settings: a model, its optimizer, or one attention call."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from baselines import Dense, DenseConfig
from baselines.attention import find_attention
from baselines.config import PEERS
from baselines.peers import PeerModel, peer_attention, peer_model
from reformer import Reformer, ReformerConfig, lsh_attention
from reformer.language_model import LanguageModel
from suites.engine.measure.machine import DTYPES
from suites.settings import Settings

ADAM_BETAS = (0.9, 0.95)


def build_model(
    settings: Settings, vocabulary: int, seed: int, device: torch.device | str
) -> LanguageModel:
    """Build the model of these settings in float32, in training mode, on the device."""
    config = settings.config(vocabulary, seed)
    model = Dense(config) if isinstance(config, DenseConfig) else Reformer(config)
    return model.to(device)


def build_peer(
    settings: Settings, vocabulary: int, seed: int, device: torch.device | str
) -> PeerModel:
    """Build the published model that comes nearest to these settings (baselines.peers)."""
    config = settings.config(vocabulary, seed)
    assert isinstance(config, ReformerConfig)
    return peer_model(settings.attention, config).to(device)


def build_optimizer(settings: Settings, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer at the settings' peak learning rate.

    It is AdamW without weight decay, or PyTorch's Adafactor.
    """
    if settings.optimizer == "adafactor":
        return torch.optim.Adafactor(model.parameters(), lr=settings.learning_rate)
    return torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=ADAM_BETAS, weight_decay=0.0
    )


def build_attention_call(
    settings: Settings, seed: int, device: torch.device | str
) -> tuple[Callable[[], Tensor], list[Tensor]]:
    """Build one attention call on random inputs in the settings' precision.

    Returns the call, and its inputs, which take gradients: (batch, heads, length, width) each. In
    a CUDA graph hashes are drawn from the GPU's own generator.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (
        settings.batch,
        settings.n_heads,
        settings.length,
        settings.d_model // settings.n_heads,
    )

    def draw() -> Tensor:
        numbers = torch.randn(shape, generator=generator)
        return numbers.to(device, DTYPES[settings.precision]).requires_grad_()

    if not settings.in_chunks:
        attend = find_attention(settings.attention)
        q, k, v = draw(), draw(), draw()
        return lambda: attend(q, k, v, shape[-1] ** -0.5, False), [q, k, v]
    qk, v, config = draw(), draw(), settings.lsh()
    if settings.attention in PEERS:
        peer = peer_attention(settings.attention, config, seed)
        return lambda: peer(qk, v), [qk, v]
    kernel, draws = settings.kernel, None if settings.cuda_graph else generator
    return lambda: lsh_attention(qk, v, config, generator=draws, kernel=kernel), [qk, v]
