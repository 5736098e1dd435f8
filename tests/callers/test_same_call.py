"""A part that is computed again draws the same numbers and finds the same tensors."""

import random

import numpy as np
import pytest
import torch
from oracle import (
    FORMS,
    RECOMPUTING,
    assert_same_gradients,
    gradients,
    make_model,
    make_tokens,
    ordinary_autograd,
)
from torch import nn
from torch.nn.utils import parametrizations, parametrize, spectral_norm

GLOBAL = torch.Generator()


def of_python():
    return random.random()


def of_numpy():
    return float(np.random.random())


def of_a_global_generator():
    return float(torch.rand((), generator=GLOBAL))


DRAWS = {"python": of_python, "numpy": of_numpy, "a global generator": of_a_global_generator}


def scale_by(draw):
    def hook(module, inputs, out, again=False):
        return out * (draw() + 0.5) if again else hook(module, inputs, out, again=True)

    return hook


def hooks_that_draw(name):
    def change(model):
        layers = model.layers
        for part in (layers[0].attention, layers[1].attention, layers[0].feed_forward.widen):
            part.register_forward_hook(scale_by(DRAWS[name]))

    return change


class Own(nn.Module):
    """A module that draws from generators of its own."""

    def __init__(self):
        super().__init__()
        self.sources = None
        self.of_torch = torch.Generator().manual_seed(3)
        self.of_python = random.Random(3)
        self.of_numpy = np.random.default_rng(3)
        self.legacy = np.random.RandomState(3)

    def forward(self, x):
        drawn = torch.rand((), generator=self.of_torch).item() + self.of_python.random()
        return x * (drawn + self.of_numpy.random() + self.legacy.random_sample())


class Held(nn.Module):
    """A module around another one, whose result it changes."""

    def __init__(self, inner, outer):
        super().__init__()
        self.inner, self.outer = inner, outer

    def forward(self, *given):
        return self.outer(self.inner(*given))


def own_generators(model):
    layers = model.layers
    layers[0].attention = Held(layers[0].attention, Own())
    layers[1].feed_forward.widen = Held(layers[1].feed_forward.widen, Own())


class Memory(nn.Module):
    """A module that forgets a part of its code at each call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("code", torch.ones(1, dtype=torch.float64))

    def forward(self, x):
        out = torch.tanh(x) * self.code.clone()
        self.code.mul_(0.5)
        return out


def changed_buffers(model):
    layers = model.layers
    layers[0].attention = Held(layers[0].attention, Memory())
    layers[0].feed_forward.narrow = Held(layers[0].feed_forward.narrow, Memory())


class BatchNorm(nn.Module):
    """A norm over all positions, whose statistics PyTorch updates unseen."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.BatchNorm1d(width, dtype=torch.float64)

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


def batch_norms(model):
    layers = model.layers
    layers[0].attention = Held(layers[0].attention, BatchNorm(32))
    layers[1].feed_forward.widen = Held(layers[1].feed_forward.widen, BatchNorm(48))


def spectral_norms(model):
    layers = model.layers
    parametrizations.spectral_norm(layers[0].attention.to_v)
    parametrizations.spectral_norm(layers[0].feed_forward.widen)
    spectral_norm(layers[1].attention.merge)


class Scaled(nn.Parameter):
    """A parameter that says by what it is to be multiplied."""


def marked_parameters(model):
    def scale(module, inputs, out):
        factor = getattr(module.weight, "factor", 1.0)
        return out * factor * (1.5 if isinstance(module.weight, Scaled) else 1.0)

    layers = model.layers
    for part in (layers[0].attention.to_v, layers[0].feed_forward.widen, model.head[1]):
        part.weight = Scaled(part.weight.detach())
        part.weight.factor = 3.0
        part.register_forward_hook(scale)


class Counting(nn.Module):
    """A module that counts its calls where it keeps its options, and notes them."""

    def __init__(self):
        super().__init__()
        self.options, self.noted, self.seen = {"calls": 1}, [], set()

    def forward(self, x):
        self.options["calls"] += 1
        self.noted.append(x.detach())
        self.seen.add(len(self.noted))
        return x * (self.options["calls"] + len(self.noted) + len(self.seen))


def changed_contents(model):
    layers = model.layers
    layers[0].attention = Held(layers[0].attention, Counting())
    layers[0].feed_forward.narrow = Held(layers[0].feed_forward.narrow, Counting())


CHANGES = {
    "contents changed": changed_contents,
    **{f"drawn from {name}": hooks_that_draw(name) for name in DRAWS},
    "drawn from generators of its own": own_generators,
    "buffers changed in place": changed_buffers,
    "batch norms": batch_norms,
    "spectral norms": spectral_norms,
    "marked parameters": marked_parameters,
}


def backward(form, change):
    model, tokens = make_model(**form), make_tokens()
    CHANGES[change](model)
    random.seed(4)
    np.random.seed(4)
    GLOBAL.manual_seed(4)
    torch.manual_seed(4)
    model.loss(tokens, make_tokens(1)).backward()
    after = [draw() for draw in DRAWS.values()]
    after += [len(m.noted) + m.options["calls"] for m in model.modules() if isinstance(m, Counting)]
    return gradients(model), [*after, *(b.clone() for b in model.buffers())]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_those_of_the_call_that_was_made(form, change):
    """And what is drawn or counted afterwards is as if nothing had been computed again."""
    found, after = backward(form, change)
    with ordinary_autograd():
        expected, wanted = backward(form, change)
    assert_same_gradients(found, expected)
    torch.testing.assert_close(after, wanted, rtol=1e-8, atol=1e-11)


class Half(nn.Module):
    """A parametrization by half of the weight."""

    def forward(self, weight):
        return weight / 2


@pytest.mark.parametrize("form", FORMS)
def test_a_cached_weight_is_computed_anew(form):
    """The cache of PyTorch's parametrizations holds one that was computed without a graph."""

    def cached():
        model = make_model(**form)
        for part in (model.layers[0].attention.to_v, model.layers[1].feed_forward.widen):
            parametrize.register_parametrization(part, "weight", Half())
        with parametrize.cached():
            model.loss(make_tokens(), make_tokens(1)).backward()
        return gradients(model)

    found = cached()
    with ordinary_autograd():
        expected = cached()
    assert_same_gradients(found, expected)


class Renormalised(nn.Module):
    """A module that normalises its weight each time before it uses it."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, x):
        with torch.no_grad():
            self.linear.weight.div_(self.linear.weight.norm())
        return self.linear(x)


class Average(nn.Module):
    """A module that keeps an average in a plain tensor."""

    def __init__(self, linear):
        super().__init__()
        self.linear, self.mean = linear, torch.zeros((), dtype=torch.float64)

    def forward(self, x):
        self.mean.mul_(0.9).add_(x.detach().mean(), alpha=0.1)
        return self.linear(x) + self.mean


@pytest.mark.parametrize("kind", [Renormalised, Average])
@pytest.mark.parametrize("form", RECOMPUTING)
def test_a_tensor_that_cannot_be_put_back_is_refused(form, kind):
    model = make_model(**form)
    feed_forward = model.layers[0].feed_forward
    feed_forward.widen = kind(feed_forward.widen)
    if form["reversible"] or form["ff_chunks"] > 1:
        with pytest.raises(RuntimeError, match="FeedForward changes a parameter, a tensor"):
            model.loss(make_tokens(), make_tokens(1))
    else:
        model.loss(make_tokens(), make_tokens(1)).backward()
