"""Frozen parameters have no gradient, and all others the one they have without freezing."""

import pytest
import torch
from oracle import (
    FORMS,
    assert_same_gradients,
    gradients,
    make_model,
    make_tokens,
    ordinary_autograd,
)
from torch import nn
from torch.nn.utils import parametrize

FROZEN = {
    "one norm": lambda m: m.layers[0].attention.norm,
    "one weight": lambda m: m.layers[1].feed_forward.widen,
    "all attention": lambda m: nn.ModuleList(layer.attention for layer in m.layers),
    "all feed-forward": lambda m: nn.ModuleList(layer.feed_forward for layer in m.layers),
    "a layer": lambda m: m.layers[0],
    "the embedding": lambda m: nn.ModuleList([m.embedding, m.positions]),
    "the head": lambda m: m.head,
    "all but the head": lambda m: nn.ModuleList([m.embedding, m.positions, m.layers]),
    "all but the embedding": lambda m: nn.ModuleList([m.layers, m.head]),
    "all but one bias": lambda m: m,
}


def freeze(model, what):
    FROZEN[what](model).requires_grad_(False)
    if what == "all but one bias":
        model.layers[0].feed_forward.narrow.bias.requires_grad_(True)


def backward(form, what, dropout=0.1):
    model, tokens = make_model(**form, dropout=dropout), make_tokens()
    freeze(model, what)
    model.loss(tokens, make_tokens(1)).backward()
    return gradients(model)


@pytest.mark.parametrize("what", FROZEN)
@pytest.mark.parametrize("form", FORMS)
def test_frozen_parameters_have_none_and_the_rest_what_they_have(form, what):
    found = backward(form, what)
    with ordinary_autograd():
        expected = backward(form, what)
    assert_same_gradients(found, expected)
    model = make_model(**form)
    freeze(model, what)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert {name for name, grad in found.items() if grad is None} == frozen


@pytest.mark.parametrize("form", FORMS)
def test_a_model_frozen_as_a_whole_computes_its_loss(form):
    model = make_model(**form).requires_grad_(False)
    assert not model.loss(make_tokens(), make_tokens(1)).requires_grad


class LowRank(nn.Module):
    """A frozen linear layer beside a trained product of two thin matrices (LoRA)."""

    def __init__(self, linear, rank=2):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.linear = linear.requires_grad_(False)
        self.a, self.b = (
            nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
            for shape in ((rank, linear.in_features), (linear.out_features, rank))
        )

    def forward(self, x):
        return self.linear(x) + x @ self.a.T @ self.b.T


class LowRankWeight(nn.Module):
    """The same as a parametrization of the weight."""

    def __init__(self, weight, rank=2):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.a, self.b = (
            nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
            for shape in ((rank, weight.shape[1]), (weight.shape[0], rank))
        )

    def forward(self, weight):
        return weight + self.b @ self.a


def low_rank(form, by_parametrization):
    model, tokens = make_model(**form), make_tokens()
    model.requires_grad_(False)
    for layer in model.layers:
        for branch, name in ((layer.attention, "to_qk"), (layer.feed_forward, "narrow")):
            linear = getattr(branch, name)
            if by_parametrization:
                parametrize.register_parametrization(linear, "weight", LowRankWeight(linear.weight))
            else:
                setattr(branch, name, LowRank(linear))
    model.loss(tokens, make_tokens(1)).backward()
    return gradients(model)


@pytest.mark.parametrize("by_parametrization", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_low_rank_adapters_train(form, by_parametrization):
    found = low_rank(form, by_parametrization)
    with ordinary_autograd():
        expected = low_rank(form, by_parametrization)
    assert_same_gradients(found, expected)
    assert sum(grad is not None for grad in found.values()) == 2 * 2 * 2


@pytest.mark.parametrize("form", FORMS)
def test_tied_weights_have_the_sum_of_their_gradients(form):
    def tied():
        model, tokens = make_model(**form), make_tokens()
        model.layers[1].attention.to_v.weight = model.layers[0].attention.to_v.weight
        model.layers[0].attention.merge.weight = model.layers[0].attention.to_qk.weight
        model.head[1].weight = model.embedding.weight
        model.loss(tokens, make_tokens(1)).backward()
        return gradients(model)

    found = tied()
    with ordinary_autograd():
        assert_same_gradients(found, tied())


class Shift(nn.Module):
    """A weight that is learnt as a difference from where it started."""

    def __init__(self, weight):
        super().__init__()
        self.difference = nn.Parameter(torch.zeros_like(weight))

    def forward(self, weight):
        return weight + self.difference


class TwoBiases(nn.Module):
    """A linear layer whose second bias is a single number for all."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear
        self.shift = nn.Parameter(torch.zeros_like(linear.bias))
        self.gain = nn.Parameter(torch.zeros((), dtype=linear.bias.dtype))

    def forward(self, x):
        out = nn.functional.linear(x, self.linear.weight, self.linear.bias + self.shift)
        return out * (1 + self.gain.expand(3).sum())


def add_parameters(model):
    """Add such parameters to a branch of either kind and to the output layer."""
    attention, feed_forward = model.layers[0].attention, model.layers[1].feed_forward
    for linear in (attention.to_v, feed_forward.widen, model.head[1]):
        parametrize.register_parametrization(linear, "weight", Shift(linear.weight))
    for place, name in ((feed_forward, "narrow"), (model.head, "1")):
        setattr(place, name, TwoBiases(getattr(place, name)))


def added_backward(form):
    model, tokens = make_model(**form), make_tokens()
    add_parameters(model)
    model.loss(tokens, make_tokens(1)).backward()
    return gradients(model)


@pytest.mark.parametrize("form", FORMS)
def test_parameters_that_are_added_together_share_no_sum(form):
    """PyTorch gives one and the same tensor to both, or one expanded from a number."""
    found = added_backward(form)
    with ordinary_autograd():
        expected = added_backward(form)
    assert_same_gradients(found, expected)
