"""What happens between forward and backward does not change the gradients, or is refused."""

import sys
import threading
from contextlib import ExitStack

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

from reformer.reversible import run_reversible


def set_dropout(model):
    for layer in model.layers:
        layer.attention.p = layer.feed_forward.p = 0.0


def hook_later(model):
    for layer in model.layers:
        layer.feed_forward.register_forward_hook(lambda module, inputs, out: 2 * out)
        layer.attention.to_v.register_forward_hook(lambda module, inputs, out: 3 * out)


def replace_a_module(model):
    model.layers[0].feed_forward.norm = nn.LayerNorm(32).double()
    model.layers[1].attention = model.layers[0].attention


def forget_gradients(model):
    model.layers[0].requires_grad_(False)


BETWEEN = {
    "nothing": lambda model: None,
    "evaluation mode": lambda model: model.eval(),
    "evaluation mode of a layer": lambda model: model.layers[0].feed_forward.eval(),
    "other dropout": set_dropout,
    "hooks": hook_later,
    "other modules": replace_a_module,
    "another evaluation": lambda model: model.eval()(make_tokens(7)),
    "another forward pass": lambda model: model.loss(make_tokens(8), make_tokens(9)),
    "frozen parameters": forget_gradients,
    "other random numbers": lambda model: torch.manual_seed(99),
}


def backward(form, between, training=True):
    model, tokens = make_model(**form, dropout=0.2).train(training), make_tokens()
    parameters = dict(model.named_parameters())
    loss = model.loss(tokens, make_tokens(1))
    BETWEEN[between](model)
    loss.backward()
    return {name: p.grad for name, p in parameters.items()}


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("form", FORMS)
def test_the_state_belongs_to_the_call(form, between):
    found = backward(form, between)
    with ordinary_autograd():
        expected = backward(form, "nothing")
    if between == "frozen parameters":
        # whatever becomes of its gradient, that of the rest is as it was
        frozen = {name for name in found if name.startswith("layers.0.")}
        found, expected = (
            {name: grad for name, grad in grads.items() if name not in frozen}
            for grads in (found, expected)
        )
    assert_same_gradients(found, expected)


@pytest.mark.parametrize("form", FORMS)
def test_a_call_in_evaluation_stays_one(form):
    model, tokens = make_model(**form, dropout=0.2).eval(), make_tokens()
    loss = model.loss(tokens, make_tokens(1))
    model.train()
    loss.backward()
    with ordinary_autograd():
        expected = backward(form, "nothing", training=False)
    assert_same_gradients(gradients(model), expected)


CHANGES = {
    "an optimizer step": lambda model: torch.optim.SGD(model.parameters(), lr=0.1).step(),
    "one weight in place": lambda m: (
        m.layers[0].feed_forward.widen.weight.data_ptr()
        and m.layers[0].feed_forward.widen.weight.detach().mul_(2)
    ),
    "a state dict loaded": lambda model: model.load_state_dict(make_model(seed=9).state_dict()),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("form", RECOMPUTING)
def test_weights_changed_in_place_are_refused_as_pytorch_does(form, change):
    model, tokens = make_model(**form), make_tokens()
    if change == "a state dict loaded":
        form_of = make_model(**form, seed=9)
        change_weights = lambda m: m.load_state_dict(form_of.state_dict())  # noqa: E731
    else:
        change_weights = CHANGES[change]
    model.loss(tokens, make_tokens(1)).backward()
    loss = model.loss(tokens, make_tokens(1))
    change_weights(model)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_the_streams_that_the_backward_pass_starts_from_must_not_change():
    model = make_model()
    x1, x2 = torch.randn(2, 2, 64, 32, dtype=torch.float64, generator=torch.Generator())
    x1.requires_grad_()
    choices = model.draw_choices(make_tokens())[0]
    y1, y2 = run_reversible(model.layers, x1, x2, choices)
    y1.add_(1)
    with pytest.raises(RuntimeError, match="modified in place"):
        (y1.sum() + y2.sum()).backward()


@pytest.mark.parametrize("form", FORMS)
def test_parameters_from_outside_are_the_ones_that_are_differentiated(form):
    def call():
        model, tokens = make_model(**form, dropout=0.1), make_tokens()
        other = make_model(**form, seed=8)
        scale = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
        given = {name: p.detach() * scale for name, p in other.named_parameters()}
        leaves = {name: p.requires_grad_() for name, p in given.items() if "widen" in name}
        loss = torch.func.functional_call(model, given, (tokens, make_tokens(1)))
        grads = torch.autograd.grad(loss, [scale, *leaves.values()], allow_unused=True)
        assert all(p.grad is None for p in model.parameters())
        return dict(zip(["scale", *leaves], grads, strict=True))

    found = call()
    with ordinary_autograd():
        assert_same_gradients(found, call())


@pytest.mark.parametrize("form", FORMS)
def test_threads_may_train_one_model_together(form):
    """Each puts parts back to where they were at its call; the gradients of both add up."""
    model, n_calls = make_model(**form).eval(), 10
    model.loss(make_tokens(), make_tokens(1)).backward()
    once = {name: grad.clone() for name, grad in gradients(model).items()}
    model.zero_grad()
    parameters = list(model.parameters())

    def train():
        for _ in range(n_calls):
            model.loss(make_tokens(), make_tokens(1)).backward()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=train) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    for name, grad in gradients(model).items():
        expected = 2 * n_calls * once[name]
        torch.testing.assert_close(grad, expected, rtol=1e-8, atol=1e-10, msg=name)


def test_threads_with_models_of_their_own_do_not_wait_for_each_other():
    """Each is in a part that is computed again when both meet, as ranks that are threads do."""
    meet, failed = threading.Barrier(2, timeout=30), []

    def train():
        model = make_model()
        model.layers[0].attention.register_forward_hook(lambda *_: (meet.wait(), None)[1])
        try:
            model.loss(make_tokens(), make_tokens(1)).backward()
        except threading.BrokenBarrierError as error:
            failed.append(error)

    threads = [threading.Thread(target=train) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_others_may_begin_to_cache_weights_meanwhile():
    """PyTorch counts who does; a count that was put back would be off by one for good."""
    model, others = make_model(), ExitStack()
    hook = model.layers[0].attention.register_forward_hook(
        lambda *_: others.enter_context(parametrize.cached())
    )
    with others:
        model.loss(make_tokens(), make_tokens(1))
        hook.remove()
        assert parametrize._cache_enabled == 1
    assert parametrize._cache_enabled == 0


class Counts(nn.Module):
    """A module that counts its calls, which decide what it gives."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x) * self.calls


def test_a_second_backward_pass_finds_what_the_first_found():
    model = make_model(reversible=False, ff_chunks=4)
    model.layers[0].feed_forward.narrow = Counts(model.layers[0].feed_forward.narrow)
    loss = model.loss(make_tokens(), make_tokens(1))
    loss.backward(retain_graph=True)
    once = {name: grad.clone() for name, grad in gradients(model).items()}
    loss.backward()
    for name, grad in gradients(model).items():
        torch.testing.assert_close(grad, 2 * once[name], rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("form", FORMS)
def test_what_the_output_layer_sets_stays_set(form):
    model = make_model(**form)
    model.head[1] = Counts(model.head[1])
    model.loss(make_tokens(), make_tokens(1)).backward()
    assert model.head[1].calls == form["loss_chunks"]


HALF = {"loss_chunks": 4, "ff_chunks": 1, "reversible": False}


def half_loss(model, given=None):
    """The loss by autocast in float16, whose gradients are made where it has been scaled."""
    with torch.autocast("cpu", torch.float16):
        if given is None:
            return model.loss(make_tokens(), make_tokens(1))
        return torch.func.functional_call(model, given, (make_tokens(), make_tokens(1)))


def half_backward(model, between=lambda model: None, given=None):
    loss = half_loss(model, given)
    between(model)
    (1024 * loss).backward()
    return gradients(model)


@pytest.mark.parametrize("between", [one for one in BETWEEN if one != "other modules"])
def test_in_float16_what_happens_in_between_changes_nothing_either(between):
    models = [make_model(torch.float32, **HALF, dropout=0.1) for _ in range(2)]
    for model in models:
        model.head.insert(1, nn.Dropout(0.5))
        torch.manual_seed(5)
        if model is models[1]:
            expected = half_backward(model)
        else:
            found = half_backward(model, BETWEEN[between])
    for name in ("head.2.weight", "head.0.weight", "embedding.weight"):
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=0, msg=name)


def test_in_float16_the_head_cannot_be_changed_in_place_in_between():
    def change(model):
        with torch.no_grad():
            model.head[1].weight.mul_(-3)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        half_backward(make_model(torch.float32, **HALF), change)


def test_in_float16_the_parameters_passed_in_are_differentiated():
    dense = {**HALF, "attention": "dense"}
    other = make_model(torch.float32, **dense | {"loss_chunks": 1}, seed=8)
    expected = half_backward(other)
    given = {name: p.detach().clone().requires_grad_() for name, p in other.named_parameters()}
    model = make_model(torch.float32, **dense)
    assert all(grad is None for grad in half_backward(model, given=given).values())
    for name, p in given.items():
        error = (p.grad - expected[name]).norm() / expected[name].norm()
        assert error < 0.02, name
