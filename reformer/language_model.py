"""A language model puts embedding, positions and an output layer around any attention.

The Reformer and its dense twin differ in nothing but the branch they put in here.

Shapes: B batch, L length, D model width, V vocabulary.
"""

from collections.abc import Callable
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from reformer.checks import plain, require
from reformer.choices import Choices, ChoiceSource, draw_in_evaluation, keep_with_graph
from reformer.config import ModelConfig
from reformer.eager import eagerly
from reformer.feed_forward import FeedForward
from reformer.inputs import require_length, require_targets, require_tokens
from reformer.loss import IGNORED, chunked_cross_entropy
from reformer.positions import Positions
from reformer.reversible import Branch, Layer, run_reversible


class LanguageModel(nn.Module):
    """Turn tokens (batch, length), int64 or int32, into logits (batch, length, vocabulary).

    Any length up to the config's. All randomness comes from `config.seed`: weights, hashes and
    dropout. In training each call draws new hashes and masks; in evaluation every call draws the
    same ones.
    """

    def __init__(self, config: ModelConfig, make_attention: Callable[[int], Branch]) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.d_model)
        self.positions = Positions(config, scale=config.embedding_std)
        self.layers = nn.ModuleList(
            Layer(make_attention(layer), FeedForward(config)) for layer in range(config.n_layers)
        )
        self.head = nn.Sequential(
            nn.LayerNorm(config.d_model), nn.Linear(config.d_model, config.vocabulary)
        )
        if config.tie_embeddings:
            cast(nn.Linear, self.head[1]).weight = self.embedding.weight
        self.was_tied = config.tie_embeddings  # before a state was loaded
        self.register_load_state_dict_pre_hook(_note_tie)
        self.register_load_state_dict_post_hook(_tie_again)  # assign=True loads one for each name
        initialise(self, config)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.choice_source = ChoiceSource()

    def _apply(self, *args: Any, **kwargs: Any) -> Self:
        """Apply a function to all tensors as `to` and `to_empty` do; what was tied stays so."""
        _note_tie(self)
        applied = super()._apply(*args, **kwargs)
        _tie_again(self)
        return applied

    @eagerly
    def forward(
        self, tokens: Tensor, targets: Tensor | None = None, first_position: int = 0
    ) -> Tensor:
        """Compute the logits (batch, length, vocabulary); with targets, the loss (see `loss`).

        Wrappers that watch the forward pass, such as DistributedDataParallel, need the loss from
        here. Raises ValueError if the sequence is empty or too long.
        """
        if targets is not None:
            return self.loss(tokens, targets, first_position)
        return self.head(self.hidden(tokens, first_position))

    @torch.no_grad()
    def past_only_logits(self, tokens: Tensor) -> Tensor:
        """Compute logits of which each depends on its own and earlier tokens alone.

        Hashing sorts all tokens into chunks together, so that later tokens change earlier logits of
        `forward` a little (see lsh_attention). Here each position is the last of a sequence of its
        own: slow, as many calls as positions, for checking and for generation. Raises ValueError in
        training mode.
        """
        require(not self.training, "past_only_logits is for evaluation; call model.eval() first")
        require_tokens(tokens, self.config.vocabulary, self.embedding.weight)
        require_length(tokens.shape[-1], self.config.length, 0)
        ends = range(1, tokens.shape[-1] + 1)
        return torch.stack([self(tokens[:, :end])[:, -1] for end in ends], dim=1)

    def get_extra_state(self) -> Tensor:
        """Give state_dict the generator, so that a training goes on with the same choices."""
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Take the generator's state from a state_dict.

        Raises ValueError if it is none, as the mean of several.
        """
        require(
            isinstance(state, Tensor) and state.dtype == torch.uint8,
            "_extra_state in the state_dict is not the state of a generator: it is taken over from "
            "one model, not averaged or cast",
        )
        self.generator.set_state(state.cpu())

    @eagerly
    def loss(self, tokens: Tensor, targets: Tensor, first_position: int = 0) -> Tensor:
        """Average the cross-entropy in nats over the targets that are not -100; a scalar.

        It is 0 where no target counts (PyTorch's mean over none is NaN). The logits are never whole
        in memory (section 3) where `loss_chunks` is more than 1. first_position: the position of
        the first token, for training on short windows. Raises ValueError if the sequence is empty
        or too long there, and on what are no tokens or targets.
        """
        require_tokens(tokens, self.config.vocabulary, self.embedding.weight)
        require_targets(targets, tokens.shape, IGNORED, self.config.vocabulary)
        return chunked_cross_entropy(
            self.hidden(tokens, first_position), self.head, targets, self.config.loss_chunks
        )

    @eagerly
    def hidden(self, tokens: Tensor, first_position: int = 0) -> Tensor:
        """Compute what the output layer sees, (batch, length, d_model).

        Raises ValueError if the sequence is empty or too long, and on what are no tokens.
        """
        require_tokens(tokens, self.config.vocabulary, self.embedding.weight)
        length, first_position = tokens.shape[-1], plain(first_position)
        require_length(length, self.config.length, first_position)
        x = self.embedding(tokens) + self.positions(length, first_position)
        choices, drawn = self.draw_choices(tokens)
        layers = cast(list[Layer], list(self.layers))
        if self.config.reversible:
            y1, y2 = run_reversible(layers, x, x, choices)
            x = (y1 + y2) / 2
        else:
            for layer, choice in zip(layers, choices, strict=True):
                x = layer(x, choice)
        keep_with_graph(x, drawn)
        return x

    def draw_choices(self, tokens: Tensor) -> tuple[list[tuple[Choices, Choices]], object]:
        """Draw a seed for both branches of each layer, new in training, the same in evaluation.

        Returns the choices, and in training what must live as long as the graph of this call.
        """
        if not self.training:
            return draw_in_evaluation(self.config.seed, len(self.layers)), None
        return self.choice_source.draw(self.generator, tokens, len(self.layers))


def _is_tied(model: LanguageModel) -> bool:
    return any(p is model.embedding.weight for p in model.head.parameters())


def _note_tie(model: LanguageModel, *_: object) -> None:
    model.was_tied = _is_tied(model)


def _tie_again(model: LanguageModel, *_: object) -> None:
    """Give the output layer the embedding's weight if it had it before a state was loaded."""
    if model.was_tied and not _is_tied(model):
        cast(nn.Linear, model.head[-1]).weight = model.embedding.weight


def initialise(model: LanguageModel, config: ModelConfig) -> None:
    """Draw normal weights of variance 1 / fan-in, and small ones in the output layer.

    Embeddings have the config's `embedding_std`, positions too where they start from normal
    numbers: then no other weight changes. The last weights of every branch are divided by
    sqrt(2 n_layers), so that the residual streams keep their size at any depth (Radford et al.,
    2019, section 2.3). Drawn on the CPU in float32: the same weights, but for rounding, whatever
    device and dtype they are made for.
    """
    generator = torch.Generator().manual_seed(config.seed)

    def draw(weight: Tensor, std: float) -> None:
        if not weight.is_meta:
            drawn = torch.empty(weight.shape, dtype=torch.float32, device="cpu")
            weight.data.copy_(drawn.normal_(std=std, generator=generator))

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            std = module.in_features**-0.5
            if name.endswith(("narrow", "merge")):
                std /= (2 * config.n_layers) ** 0.5
            if name.startswith("head"):
                std = config.embedding_std if config.tie_embeddings else 0.02
            draw(module.weight, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            draw(module.weight, config.embedding_std)
    if config.positions_start == "normal":
        for table in model.positions.tables:
            draw(table, config.embedding_std)
