"""The chunked feed-forward layer and the chunked loss equal the same mathematics in one piece."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, layer_norm

from reformer import ReformerConfig
from reformer.choices import Choices
from reformer.feed_forward import FeedForward
from reformer.loss import IGNORED, chunked_cross_entropy, counted_only

D_MODEL, D_FF, VOCABULARY = 6, 20, 13


def make_layer(n_chunks, dropout=0.0, seed=0):
    config = ReformerConfig(
        vocabulary=2,
        length=64,
        d_model=D_MODEL,
        d_ff=D_FF,
        n_heads=1,
        ff_chunks=n_chunks,
        dropout=dropout,
    )
    return randomised(FeedForward(config), seed)


def randomised(module, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.double().parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module


def random_input(seed, shape=(3, 37, D_MODEL)):
    generator = torch.Generator().manual_seed(seed)
    x, grad = torch.randn((2, *shape), generator=generator, dtype=torch.float64)
    return x.requires_grad_(), grad


def oracle(layer, x):
    """Compute LayerNorm, then max(0, x W1 + b1) W2 + b2 (Vaswani et al., 2017, section 3.3)."""
    scale, shift, w1, b1, w2, b2 = layer.parameters()
    normed = layer_norm(x, (D_MODEL,), scale, shift)
    return (normed @ w1.T + b1).clamp(min=0) @ w2.T + b2


def with_gradients(run, layer, x, grad):
    out = run(x)
    return out, *torch.autograd.grad(out, (x, *layer.parameters()), grad)


@pytest.mark.parametrize("n_chunks", [1, 2, 3, 16, 37, 100])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_layer_in_one_piece(n_chunks, seed):
    layer = make_layer(n_chunks, seed=seed)
    x, grad = random_input(seed)
    ours = with_gradients(lambda x: layer(x, Choices(0)), layer, x, grad)
    expected = with_gradients(lambda x: oracle(layer, x), layer, x, grad)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    out, grad_x, grads = layer.forward_and_gradients(x, Choices(0), grad)
    torch.testing.assert_close((out, grad_x, *grads), expected, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(layer(x, Choices(0)), expected[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_chunks", [1, 4])
def test_gradients_with_dropout_equal_finite_differences(n_chunks):
    layer = make_layer(n_chunks, dropout=0.4)
    x, grad = random_input(1, (2, 9, D_MODEL))
    assert torch.autograd.gradcheck(lambda x: layer(x, Choices(3)), x)
    names = [name for name, _ in layer.named_parameters()]

    def of_parameters(*values):
        values = dict(zip(names, values, strict=True))
        return torch.func.functional_call(layer, values, (x.detach(), Choices(3)))

    if n_chunks == 1:  # the chunked layer differentiates its own parameters, not stand-ins
        assert torch.autograd.gradcheck(of_parameters, tuple(layer.parameters()))
    else:
        ours = with_gradients(lambda x: layer(x, Choices(3)), layer, x, grad)[2:]
        bias = layer.narrow.bias
        torch.testing.assert_close(ours[-1], grad.sum(dim=(0, 1)).expand_as(bias))
        assert_directional_derivatives(layer, x, grad, ours)


def assert_directional_derivatives(layer, x, grad, gradients):
    step = 1e-6
    for seed, (parameter, gradient) in enumerate(zip(layer.parameters(), gradients, strict=True)):
        direction = torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        values = []
        for sign in (1, -1):
            parameter.data.add_(direction, alpha=sign * step)
            with torch.no_grad():
                values.append((layer(x, Choices(3)) * grad).sum())
            parameter.data.add_(direction, alpha=-sign * step)
        slope = (values[0] - values[1]) / (2 * step)
        torch.testing.assert_close(slope, (direction * gradient).sum(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_chunks", [1, 4])
def test_dropout_follows_the_choices_and_ends_in_evaluation(n_chunks):
    layer = make_layer(n_chunks, dropout=0.4)
    x, grad = random_input(2)
    out = layer(x, Choices(3))
    assert torch.equal(out, layer(x, Choices(3)))
    assert torch.equal(out, layer.forward_and_gradients(x, Choices(3), grad)[0])
    with torch.no_grad():
        assert torch.equal(out, layer(x, Choices(3)))
    assert not torch.equal(out, layer(x, Choices(4)))
    layer.eval()
    torch.testing.assert_close(layer(x, Choices(3)), oracle(layer, x), rtol=1e-12, atol=1e-12)


def test_one_piece_is_wide_at_a_time():
    layer = make_layer(5)
    lengths = []
    layer.widen.register_forward_hook(lambda _, __, wide: lengths.append(wide.shape[1]))
    x, grad = random_input(3, (1, 40, D_MODEL))
    layer(x, Choices(0)).backward(grad)
    assert lengths == [8] * 10  # 5 pieces forward, 5 recomputed


def test_backward_replays_autocast():
    layer = make_layer(3).float()
    seen = []
    layer.widen.register_forward_hook(lambda _, __, wide: seen.append(wide.dtype))
    x, grad = (t.detach().float() for t in random_input(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(x.requires_grad_(), Choices(0))
    out.backward(grad.to(out.dtype))
    assert seen == [torch.bfloat16] * 6
    assert x.grad.dtype == torch.float32


def make_head(seed):
    return randomised(nn.Sequential(nn.LayerNorm(D_MODEL), nn.Linear(D_MODEL, VOCABULARY)), seed)


def random_targets(seed, ignored=0.3, shape=(3, 37)):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(VOCABULARY, shape, generator=generator)
    return targets.masked_fill(torch.rand(shape, generator=generator) < ignored, IGNORED)


@pytest.mark.parametrize("n_chunks", [1, 2, 7, 37, 100])
@pytest.mark.parametrize("ignored", [0.0, 0.3, 0.98])
def test_loss_equals_cross_entropy_of_all_logits(n_chunks, ignored):
    for seed in range(3):
        head = make_head(seed)
        hidden, _ = random_input(seed)
        targets = random_targets(seed, ignored)
        upstream = torch.tensor(1.7, dtype=torch.float64)
        ours = with_gradients(
            lambda x, h=head, t=targets: chunked_cross_entropy(x, h, t, n_chunks),
            head,
            hidden,
            upstream,
        )
        expected = with_gradients(
            lambda x, h=head, t=targets: cross_entropy(h(x).flatten(0, 1), t.flatten()),
            head,
            hidden,
            upstream,
        )
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
        with torch.no_grad():
            without = chunked_cross_entropy(hidden, head, targets, n_chunks)
        torch.testing.assert_close(without, expected[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_chunks", [1, 5])
def test_nothing_counted_is_a_loss_of_nothing(n_chunks):
    head = make_head(0)
    hidden, _ = random_input(0)
    targets = torch.full((3, 37), IGNORED)
    loss, *grads = with_gradients(
        lambda x: chunked_cross_entropy(x, head, targets, n_chunks), head, hidden, None
    )
    assert loss.item() == 0
    assert all(grad.abs().max() == 0 for grad in grads)


def test_one_piece_of_logits_is_alive_at_a_time():
    head = make_head(1)
    lengths = []
    head[1].register_forward_hook(lambda _, __, logits: lengths.append(logits.shape[1]))
    hidden, _ = random_input(1, (2, 40, D_MODEL))
    targets = random_targets(1, ignored=0.0, shape=(2, 40))
    chunked_cross_entropy(hidden, head, targets, 5).backward()
    assert lengths == [8] * 5  # nothing is recomputed


@pytest.mark.parametrize("n_chunks", [1, 5])
def test_on_the_cpu_what_does_not_count_costs_no_logits(n_chunks):
    head = make_head(1)
    n_logits = []
    head[1].register_forward_hook(lambda _, __, logits: n_logits.append(logits[..., 0].numel()))
    hidden, _ = random_input(1, (2, 40, D_MODEL))
    targets = random_targets(1, ignored=0.7, shape=(2, 40))
    chunked_cross_entropy(hidden, head, targets, n_chunks).backward()
    assert n_logits == [int((part != IGNORED).sum()) for part in targets.chunk(n_chunks, dim=1)]


def test_elsewhere_nobody_waits_to_know_what_counts():
    """A tensor without values cannot be waited for: on another device all logits are made."""
    hidden, targets = torch.empty(2, 6, 4, device="meta"), torch.empty(2, 6, device="meta").long()
    assert counted_only(hidden, targets) == (hidden, targets)


@pytest.mark.parametrize("n_chunks", [1, 5])
def test_loss_of_half_precision_is_summed_in_float32(n_chunks):
    head = make_head(2).float()
    hidden, targets = random_input(2)[0].detach().float(), random_targets(2)
    exact = cross_entropy(head.double()(hidden.double()).flatten(0, 1), targets.flatten())
    head.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = chunked_cross_entropy(hidden.requires_grad_(), head, targets, n_chunks)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=1e-2, atol=0)
    loss.backward()
    assert hidden.grad.dtype == torch.float32
