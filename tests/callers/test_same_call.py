"""A part that is computed again draws the same numbers and finds the same tensors."""

import random
from functools import partial

import numpy as np
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
from torch.nn.utils import parametrizations, spectral_norm

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


class Noise:
    """A hook that is an object, or a method of one, and draws from its generator."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(6)

    def apply(self, module, inputs, out):
        return out * (torch.rand((), generator=self.generator).item() + 0.5)

    __call__ = apply


def scale(generator, module, inputs, out):
    return out * (torch.rand((), generator=generator).item() + 0.5)


def in_a_closure():
    generator = torch.Generator().manual_seed(6)
    return lambda module, inputs, out: scale(generator, module, inputs, out)


class CallsAHelper(nn.Module):
    """A module whose function draws, of a generator that stands in this file."""

    def forward(self, x):
        return x * (of_a_global_generator() + 0.5)


HOOKS = {
    "an object": Noise,
    "a method": lambda: Noise().apply,
    "a partial function": lambda: partial(scale, torch.Generator().manual_seed(6)),
    "a closure": in_a_closure,
}


def hooked(name):
    def change(model):
        for part in (model.layers[0].attention, model.layers[1].feed_forward.narrow):
            part.register_forward_hook(HOOKS[name]())

    return change


class Own(nn.Module):
    """A module that draws from generators of its own."""

    def __init__(self):
        super().__init__()
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


def around(make):
    """Put such a module around attention, and around what is computed piece by piece."""

    def change(model):
        for place, name in (
            (model.layers[0], "attention"),
            (model.layers[1].feed_forward, "narrow"),
        ):
            setattr(place, name, Held(getattr(place, name), make()))

    return change


class Memory(nn.Module):
    """A module that forgets a part of its code at each call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("code", torch.ones(1, dtype=torch.float64))

    def forward(self, x):
        out = torch.tanh(x) * self.code.clone()
        self.code.mul_(0.5)
        return out


class BatchNorm(nn.Module):
    """A norm over all positions, whose statistics PyTorch updates unseen."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(32, dtype=torch.float64)

    def forward(self, x):
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


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


CHANGES = {
    "contents changed": around(Counting),
    **{f"drawn from {name}": hooks_that_draw(name) for name in DRAWS},
    **{f"drawn in {name}": hooked(name) for name in HOOKS},
    "drawn in a function that forward calls": around(CallsAHelper),
    "drawn from generators of its own": around(Own),
    "buffers changed in place": around(Memory),
    "batch norms": around(BatchNorm),
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
