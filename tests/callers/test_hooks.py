"""Hooks, subclasses and modules of the user's own count in every form of the model alike."""

import types

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

from reformer.feed_forward import FeedForward
from reformer.model import SharedQKAttention


def double(module, inputs, out):
    return 2 * out


def shift(module, inputs):
    return (inputs[0] + 0.5, *inputs[1:])


class DoubledFeedForward(FeedForward):
    """A subclass with a forward of its own."""

    def forward(self, x, choices):
        return 2 * super().forward(x, choices)


class NoisyAttention(SharedQKAttention):
    """A subclass that draws from PyTorch's global generator."""

    def forward(self, x, choices):
        return nn.functional.dropout(super().forward(x, choices), 0.3, training=True)


class Gate(nn.Module):
    """A module of the user's own in the place of a branch."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.weight = nn.Parameter(torch.randn(32, 32, generator=generator, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(0.3, dtype=torch.float64))

    def forward(self, x, choices):
        return torch.tanh(x @ self.weight) * self.scale


def become(branch, home):
    branch.__class__ = home


def forward_on_the_instance(model):
    branch = model.layers[0].feed_forward
    original = branch.forward
    branch.forward = lambda x, choices: 3 * original(x, choices)
    other = model.layers[1].attention
    other.forward = types.MethodType(lambda self, x, choices: self.merge(self.norm(x)), other)


CUSTOM = {
    "a hook on feed-forward": lambda m: m.layers[0].feed_forward.register_forward_hook(double),
    "a hook on attention": lambda m: m.layers[1].attention.register_forward_hook(double),
    "a hook before feed-forward": lambda m: m.layers[0].feed_forward.register_forward_pre_hook(
        shift
    ),
    "a hook before attention": lambda m: m.layers[0].attention.register_forward_pre_hook(shift),
    "a hook inside": lambda m: m.layers[0].feed_forward.widen.register_forward_hook(double),
    "a hook in the head": lambda m: m.head[0].register_forward_hook(double),
    "a subclass": lambda m: become(m.layers[0].feed_forward, DoubledFeedForward),
    "a subclass that draws": lambda m: become(m.layers[0].attention, NoisyAttention),
    "a module of one's own": lambda m: setattr(m.layers[1], "feed_forward", Gate()),
    "forward on the instance": forward_on_the_instance,
}


def backward(form, custom):
    model, tokens = make_model(**form, dropout=0.1), make_tokens()
    CUSTOM[custom](model)
    torch.manual_seed(4)
    model.loss(tokens, make_tokens(1)).backward()
    return gradients(model)


@pytest.mark.parametrize("custom", CUSTOM)
@pytest.mark.parametrize("form", FORMS)
def test_what_the_user_adds_is_differentiated(form, custom):
    found = backward(form, custom)
    with ordinary_autograd():
        expected = backward(form, custom)
    if custom in ("a subclass", "forward on the instance"):
        # the oracle replaces FeedForward.forward, which these call
        assert any(grad is not None for grad in expected.values())
    assert_same_gradients(found, expected)


@pytest.mark.parametrize("form", FORMS)
def test_a_hook_of_all_modules_counts(form):
    def call():
        halve = lambda module, inputs, out: (  # noqa: E731
            out / 2 if isinstance(module, FeedForward) else None
        )
        handle = nn.modules.module.register_module_forward_hook(halve)
        try:
            return backward(form, "a hook inside")
        finally:
            handle.remove()

    found = call()
    with ordinary_autograd():
        assert_same_gradients(found, call())


@pytest.mark.parametrize("form", FORMS)
def test_a_hook_that_is_gone_before_the_backward_pass_has_counted(form):
    def call():
        model, tokens = make_model(**form), make_tokens()
        handle = model.layers[0].feed_forward.register_forward_hook(double)
        loss = model.loss(tokens, make_tokens(1))
        handle.remove()
        loss.backward()
        return gradients(model)

    found = call()
    with ordinary_autograd():
        assert_same_gradients(found, call())


@pytest.mark.parametrize("form", FORMS)
def test_a_hook_on_a_gradient_runs_once(form):
    def call(hooked):
        model, tokens = make_model(**form), make_tokens()
        names = [name for name, p in model.named_parameters() if p.dim() == 2]
        for name, p in model.named_parameters():
            if hooked and name in names:
                p.register_hook(lambda grad: 3 * grad)
        model.loss(tokens, make_tokens(1)).backward()
        return gradients(model), names

    plain, names = call(hooked=False)
    found, _ = call(hooked=True)
    expected = {name: 3 * grad if name in names else grad for name, grad in plain.items()}
    assert_same_gradients(found, expected)


@pytest.mark.parametrize("form", FORMS)
def test_a_backward_hook_sees_the_gradient_of_its_module(form):
    """Of a branch: what it may change is in the gradient of all that is below."""

    def call():
        model, tokens = make_model(**form), make_tokens()
        branch = model.layers[0].feed_forward
        branch.register_full_backward_hook(lambda module, grads, _: (5 * grads[0], *grads[1:]))
        model.loss(tokens, make_tokens(1)).backward()
        return gradients(model)

    found = call()
    with ordinary_autograd():
        assert_same_gradients(found, call())


@pytest.mark.parametrize("hook", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_hook_on_a_whole_reversible_layer_is_refused(hook):
    model = make_model()
    getattr(model.layers[1], hook)(lambda *arguments: None)
    for context in (torch.enable_grad, torch.no_grad):
        with context(), pytest.raises(RuntimeError, match=r"layer 1 has hooks.*reversible=False"):
            model(make_tokens())


def test_a_hook_on_a_whole_ordinary_layer_counts():
    model = make_model(reversible=False)
    before = model(make_tokens()).detach()
    model.layers[0].register_forward_hook(double)
    model.generator.manual_seed(3)
    assert not torch.allclose(before, model(make_tokens()))
