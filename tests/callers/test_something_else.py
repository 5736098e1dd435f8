"""A part that gives something else when it is computed again is refused, not differentiated."""

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
from torch.nn.utils import parametrize


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


def counter_in_a_closure():
    calls = [0]

    def hook(module, inputs, out):
        calls[0] += 1
        return out * calls[0]

    return hook


@pytest.mark.parametrize("form", FORMS)
def test_what_gives_something_else_the_second_time_is_refused(form):
    """Whatever it is that nobody finds: here a counter in a closure."""

    def backward():
        model = make_model(**form)
        for part in (model.layers[0].attention.merge, model.layers[1].feed_forward.widen):
            part.register_forward_hook(counter_in_a_closure())
        model.loss(make_tokens(), make_tokens(1)).backward()
        return gradients(model)

    if form["reversible"] or form["ff_chunks"] > 1:
        with pytest.raises(RuntimeError, match="gave something else when it was computed again"):
            backward()
        return
    found = backward()
    with ordinary_autograd():
        assert_same_gradients(found, backward())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_rounding_is_nothing_else(dtype):
    """Activations of twelve layers are rebuilt to rounding, which decides nothing here."""
    model = make_model(dtype, n_layers=12, ff_chunks=4, loss_chunks=4)
    for layer in model.layers:
        layer.attention.register_forward_hook(lambda module, inputs, out: 3 * out)
        layer.feed_forward.register_forward_hook(lambda module, inputs, out: 3 * out)
    model.loss(make_tokens(), make_tokens(1)).backward()
    assert all(grad.isfinite().all() for grad in gradients(model).values())
