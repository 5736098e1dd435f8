"""Recomputation by others repeats a call's choices, or is refused; so is a second derivative."""

import pytest
import torch
from attention_oracle import kernel_params, random_inputs
from oracle import (
    FORMS,
    RECOMPUTING,
    assert_same_gradients,
    gradients,
    make_model,
    make_tokens,
    ordinary_autograd,
)
from torch.utils.checkpoint import checkpoint

from reformer import LSHConfig, lsh_attention


def test_the_same_without_checkpointing():
    """The oracle of this file draws what it should: two models of one seed agree."""
    found, again = (make_model(dropout=0.2).loss(make_tokens(), make_tokens(1)) for _ in range(2))
    assert found == again


@pytest.mark.parametrize("form", FORMS)
def test_checkpointing_a_whole_loss_repeats_its_choices(form):
    found = []
    for checkpointed in (True, False):
        model = make_model(**form, dropout=0.2)
        for step in range(3):
            tokens, targets = make_tokens(step), make_tokens(9)
            if checkpointed:
                loss = checkpoint(model.loss, tokens, targets, use_reentrant=False)
            else:
                loss = model.loss(tokens, targets)
            loss.backward()
        found.append(gradients(model))
    assert_same_gradients(*found)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_tokens_in_every_step(form):
    found = []
    for checkpointed in (True, False):
        model, tokens, targets = make_model(**form, dropout=0.2), make_tokens(), make_tokens(1)
        for _ in range(3):
            model.loss(tokens, targets).backward()  # a step as usual in between
            call = checkpoint if checkpointed else lambda f, *x, use_reentrant: f(*x)
            call(model.loss, tokens, targets, use_reentrant=False).backward()
        found.append(gradients(model))
    assert_same_gradients(*found)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_two_calls_before_one_backward(form, same):
    """The same tokens twice cannot be told apart: refused, unless they are copies."""
    model, targets = make_model(**form, dropout=0.2), make_tokens(1)
    twin = make_model(**form, dropout=0.2)
    tokens = make_tokens()
    losses = [
        checkpoint(model.loss, tokens if same else tokens.clone(), targets, use_reentrant=False)
        for _ in range(2)
    ]
    if same:
        with pytest.raises(RuntimeError, match=r"2 calls had these tokens.*tokens.clone\(\)"):
            sum(losses).backward()
        return
    losses[0].backward()
    losses[1].backward()
    for _ in range(2):
        twin.loss(tokens, targets).backward()
    assert_same_gradients(gradients(model), gradients(twin))


def test_reentrant_checkpointing_is_refused():
    model = make_model(reversible=False, dropout=0.2)

    def loss(anchor, tokens):
        return model.loss(tokens, make_tokens(1)) + 0 * anchor

    anchor = torch.zeros((), dtype=torch.float64, requires_grad=True)
    found = checkpoint(loss, anchor, make_tokens(), use_reentrant=True)
    with pytest.raises(RuntimeError, match="use_reentrant=False"):
        found.backward()


def test_checkpointing_in_evaluation_needs_nothing():
    found = []
    for checkpointed in (True, False):
        model, tokens = make_model(reversible=False, dropout=0.2).eval(), make_tokens()
        call = checkpoint if checkpointed else lambda f, *x, use_reentrant: f(*x)
        for _ in range(2):
            call(model.loss, tokens, make_tokens(1), use_reentrant=False).backward()
        found.append(gradients(model))
    assert_same_gradients(*found)


def test_calls_are_forgotten_with_their_graphs():
    model, tokens = make_model(), make_tokens()
    for _ in range(4):
        loss = model.loss(tokens, tokens)
    assert len(model.choice_source.calls) == 1
    loss.backward()
    del loss
    assert len(model.choice_source.calls) == 0


@pytest.mark.parametrize("kernel", kernel_params("blocked", "native", "flex"))
def test_a_second_derivative_of_a_kernel_is_refused(kernel):
    """Also where what comes into its backward pass is a constant."""
    config = LSHConfig(bucket_size=8)
    qk, v, _ = random_inputs(0, shape=(1, 2, 64, 16))
    out = lsh_attention(qk, v, config, generator=torch.Generator(), kernel=kernel)
    (grad,) = torch.autograd.grad(out.sum(), qk, create_graph=True)
    with pytest.raises(RuntimeError, match="gradient of a gradient"):
        ((grad**2).sum() + qk.sum()).backward()


@pytest.mark.parametrize("form", RECOMPUTING)
def test_a_gradient_penalty_is_refused(form):
    """A second derivative through what is recomputed would be incomplete."""
    model, tokens = make_model(**form), make_tokens()
    loss = model.loss(tokens, make_tokens(1))
    weights = [model.embedding.weight, model.head[1].weight, model.layers[0].feed_forward.norm.bias]
    grads = torch.autograd.grad(loss, weights, create_graph=True)
    with pytest.raises(RuntimeError, match="gradient of a gradient"):
        sum((grad**2).sum() for grad in grads).backward()


def test_a_gradient_penalty_where_nothing_is_recomputed():
    """Against finite differences of the first derivative, with the kernel that PyTorch derives."""
    model, tokens = make_model(reversible=False).eval(), make_tokens()
    for layer in model.layers:
        layer.attention.kernel = "plain"
    bias = model.layers[0].feed_forward.narrow.bias

    def penalty():
        (grad,) = torch.autograd.grad(model.loss(tokens, make_tokens(1)), bias, create_graph=True)
        return (grad**2).sum()

    (found,) = torch.autograd.grad(penalty(), bias)
    direction = torch.randn(32, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        bias += 1e-5 * direction
    above = penalty().detach()
    with torch.no_grad():
        bias -= 2e-5 * direction
    assert float(found @ direction) == pytest.approx(
        float((above - penalty().detach()) / 2e-5), rel=1e-5
    )


def attention_gradient(kernel, recomputed, generator=None):
    """The gradient of attention to itself behind another function."""
    qk, v, grad = random_inputs(1, (1, 2, 64, 8))
    qk.requires_grad_()
    config = LSHConfig(n_rounds=2, bucket_size=8)

    def call(x):
        return lsh_attention(x.sin(), v, config, generator=generator, kernel=kernel)

    torch.manual_seed(7)
    out = recomputed(call, qk) if recomputed else call(qk)
    return torch.autograd.grad(out, qk, grad)[0]


def with_checkpoint(call, qk):
    return checkpoint(call, qk, use_reentrant=False)


@pytest.mark.parametrize("kernel", kernel_params("plain", "blocked", "native"))
def test_attention_computed_again_draws_the_same_hash_or_is_refused(kernel):
    found, expected = (attention_gradient(kernel, how) for how in (with_checkpoint, None))
    assert torch.equal(found, expected)
    with pytest.raises(RuntimeError, match="a generator that has gone on"):
        attention_gradient(kernel, with_checkpoint, torch.Generator().manual_seed(7))


class Attends(torch.nn.Module):
    """A branch of the user's own that hashes with a generator of its own, held in some way."""

    def __init__(self, held):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.held = [generator] if held == "in a list" else generator

    def forward(self, x, choices):
        generator = self.held[0] if isinstance(self.held, list) else self.held
        heads = x.unflatten(-1, (2, 16)).transpose(1, 2)
        config = LSHConfig(n_rounds=2, bucket_size=8)
        out = lsh_attention(heads, heads, config, generator=generator)
        return out.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("form", FORMS)
def test_a_branch_that_hashes_with_its_own_generator_is_right_or_refused(form):
    """Put back are generators that are attributes; one in a list is not found."""

    def backward(held):
        model = make_model(**form)
        model.layers[0].attention = Attends(held)
        model.loss(make_tokens(), make_tokens(1)).backward()
        return gradients(model)

    found = backward("as an attribute")
    with ordinary_autograd():
        expected = backward("as an attribute")
    assert_same_gradients(found, expected)
    if form["reversible"]:
        with pytest.raises(RuntimeError, match="a generator that has gone on"):
            backward("in a list")
    else:
        assert_same_gradients(backward("in a list"), expected)
