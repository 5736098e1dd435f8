"""The same model by ordinary autograd: nothing rebuilt, nothing recomputed, no piece on its own."""

from contextlib import contextmanager

import pytest
import torch

from reformer import LSHConfig, Reformer, ReformerConfig
from reformer.feed_forward import FeedForward

FORMS = [
    pytest.param(
        {"reversible": r, "ff_chunks": f, "loss_chunks": c}, id=f"reversible={r}-ff{f}-loss{c}"
    )
    for r, f, c in (
        *((True, 1, 1), (True, 4, 4), (True, 1, 4)),
        *((False, 4, 1), (False, 1, 4), (False, 4, 4), (False, 1, 1)),
    )
]
RECOMPUTING = [form for form in FORMS if form.id != "reversible=False-ff1-loss1"]


def make_model(dtype=torch.float64, **changes):
    settings = {
        "vocabulary": 64,
        "length": 64,
        "d_model": 32,
        "d_ff": 48,
        "n_heads": 2,
        "n_layers": 2,
        "attention": LSHConfig(bucket_size=8),
        "seed": 3,
    }
    return Reformer(ReformerConfig(**settings | changes)).to(dtype)


def make_tokens(seed=0):
    return torch.randint(64, (2, 64), generator=torch.Generator().manual_seed(seed))


@contextmanager
def ordinary_autograd():
    """Run reversible layers and chunked feed-forward by PyTorch's own backward pass."""

    def stored(layers, x1, x2, choices):
        for layer, choice in zip(layers, choices, strict=True):
            x1, x2 = layer.coupled(x1, x2, choice)
        return x1, x2

    def in_pieces(self, x, choices):
        generator = self.mask_generator(x, choices)
        pieces = x.chunk(self.n_chunks, dim=1)
        return torch.cat([self._piece(piece, generator) for piece in pieces], dim=1)

    def whole_loss(hidden, head, targets, n_chunks):
        return torch.nn.functional.cross_entropy(head(hidden).flatten(0, 1), targets.flatten())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reformer.language_model.run_reversible", stored)
        patch.setattr("reformer.language_model.chunked_cross_entropy", whole_loss)
        patch.setattr(FeedForward, "forward", in_pieces)
        yield


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters()}


def assert_same_gradients(found, expected):
    """Equal to rounding in float64; None exactly where the oracle has None."""
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        assert (found[name] is None) == (wanted is None), name
        if wanted is not None:
            torch.testing.assert_close(found[name], wanted, rtol=1e-8, atol=1e-11, msg=name)
    assert any(grad is not None and grad.abs().max() > 0 for grad in expected.values())
