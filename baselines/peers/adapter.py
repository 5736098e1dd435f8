"""Say what an adapter has to offer for each published Reformer, and import the peer's package."""

import importlib
from typing import Any, Protocol

from torch import Tensor, nn

from reformer.config import LSHConfig, ReformerConfig


class PeerAttention(Protocol):
    """Attend with a peer's code.

    qk, v and the output: (batch, heads, length, width). buckets: (batch, heads, n_rounds, length)
    integers to attend with a given hash; None draws one.
    """

    def __call__(self, qk: Tensor, v: Tensor, buckets: Tensor | None = None) -> Tensor: ...


class Adapter(Protocol):
    """Build a peer's attention and model from our settings.

    Both draw from torch's global generators, which the caller seeds and puts back.
    """

    def attention(self, config: LSHConfig) -> PeerAttention:
        """Build the attention core; no two rounds of the buckets it is given share a number.

        Raises ValueError on a missing package and what the peer cannot do.
        """
        ...

    def model(self, settings: ReformerConfig, config: LSHConfig) -> nn.Module:
        """Build the language model, whose attention is `config`: tokens to logits.

        Raises ValueError on a missing package and what the peer cannot do.
        """
        ...

    def equal_config(self, config: LSHConfig, width: int) -> LSHConfig:
        """Change our settings so that we compute what the peer does, at `width` numbers a head."""
        ...


def import_peer(module: str) -> Any:
    """Import a module of a peer's package; raises ValueError, saying what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0].replace("_", "-")
        raise ValueError(
            f"{package} cannot be imported ({error}): pip install -c constraints.txt -e '.[peers]'"
        ) from error
