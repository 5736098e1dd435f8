"""The whole language model takes any length, and its loss, gradients and causality are right."""

import pytest
import torch
from attention_oracle import kernel_params
from torch.nn.functional import cross_entropy, pad

from reformer import LSHConfig, Reformer, ReformerConfig, hash_buckets
from reformer.choices import Choices
from reformer.loss import IGNORED
from reformer.reference import reference_attention, reference_full_attention

VOCABULARY, LENGTH = 19, 64
LSH = LSHConfig(n_rounds=2, bucket_size=4)
ONE_CHUNK = LSHConfig(n_rounds=1, bucket_size=4, chunk_length=LENGTH, within_bucket=False)


def make_model(**changes):
    settings = {
        "vocabulary": VOCABULARY,
        "length": LENGTH,
        "d_model": 16,
        "d_ff": 32,
        "n_heads": 2,
        "n_layers": 2,
        "attention": LSH,
        "seed": 3,
    }
    return Reformer(ReformerConfig(**settings | changes)).double()


def random_tokens(seed, length=LENGTH, batch=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (batch, length), generator=generator)


def random_targets(seed, length=LENGTH, ignored=0.3):
    generator = torch.Generator().manual_seed(seed + 100)
    hide = torch.rand((2, length), generator=generator) < ignored
    return random_tokens(seed + 200, length).masked_fill(hide, IGNORED)


def gradients(loss, model):
    return torch.autograd.grad(loss, list(model.parameters()))


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 16, 37, 63, 64])
@pytest.mark.parametrize("attention", [LSH, ONE_CHUNK, "dense"], ids=["lsh", "one chunk", "dense"])
def test_any_length_gives_logits_and_gradients(attention, length):
    model = make_model(attention=attention)
    tokens = random_tokens(length, length)
    logits = model(tokens)
    assert logits.shape == (2, length, VOCABULARY)
    assert logits.isfinite().all()
    grads = gradients(model.loss(tokens, random_tokens(0, length)), model)
    assert all(grad.isfinite().all() for grad in grads)
    assert grads[0].abs().max() > 0


@pytest.mark.parametrize("reversible", [True, False])
def test_the_model_is_wired_as_in_the_paper(reversible):
    """Reversible layers follow equation 9.

    Their streams start alike and are averaged at the end.
    """
    model = make_model(reversible=reversible, attention="dense").eval()
    tokens = random_tokens(11, 20)
    x = model.embedding.weight[tokens] + model.positions.tables[0][:20]
    x1 = x2 = x
    for layer in model.layers:
        if reversible:
            x1 = x1 + layer.attention(x2, Choices(0))
            x2 = x2 + layer.feed_forward(x1, Choices(0))
        else:
            x = x + layer.attention(x, Choices(0))
            x = x + layer.feed_forward(x, Choices(0))
    expected = model.head((x1 + x2) / 2 if reversible else x)
    torch.testing.assert_close(model(tokens), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("first", "length"), [(0, 65), (0, 0), (10, 55), (64, 1)])
def test_too_long_is_refused_in_a_sentence(first, length):
    tokens = torch.zeros(1, length, dtype=torch.long)
    longest = LENGTH - first
    sentence = f"the sequence has {length} tokens; this model takes 1 to {longest}"
    with pytest.raises(ValueError, match=sentence):
        make_model().loss(tokens, tokens, first)


def test_a_window_sits_at_its_own_positions():
    """A shift of the window and of the position table by the same amount changes nothing."""
    model, shifted = make_model(attention="dense").eval(), make_model(attention="dense").eval()
    table = shifted.positions.tables[0]
    table.data = table.data.roll(20, dims=0)
    tokens, targets = random_tokens(1, 30), random_targets(1, 30)
    at_20 = shifted.loss(tokens, targets, 20)
    torch.testing.assert_close(at_20, model.loss(tokens, targets), rtol=1e-13, atol=0)
    assert (model.loss(tokens, targets, 20) - at_20).abs() > 1e-6


@pytest.mark.parametrize("length", [5, 13, 37, 64])
@pytest.mark.parametrize(
    ("causal", "within_bucket"), [(True, True), (True, False), (False, True)], ids=str
)
@pytest.mark.parametrize("kernel", kernel_params("plain", "blocked", "native"))
def test_attention_of_any_length_equals_the_reference(kernel, causal, within_bucket, length):
    """The branch pads 37 to 40; the reference gets its hash, with padding in a bucket of its own.

    No position sees the padding: it is later in a causal case, and in another bucket in the others.
    """
    config = LSHConfig(n_rounds=3, bucket_size=4, causal=causal, within_bucket=within_bucket)
    branch = make_model(attention=config, kernel=kernel).layers[0].attention
    generator = torch.Generator().manual_seed(length)
    x = torch.randn(2, length, 16, generator=generator, dtype=torch.float64)
    normed = branch.norm(x)
    qk, v = (p(normed).unflatten(-1, (2, 8)).transpose(1, 2) for p in (branch.to_qk, branch.to_v))
    missing = -length % config.m
    n_buckets = config.n_buckets(length + missing)
    buckets = hash_buckets(
        pad(qk, (0, 0, 0, missing)),
        n_buckets=n_buckets,
        n_rounds=3,
        generator=Choices(7).generator(),
    )
    buckets[..., length:] = n_buckets
    expected = reference_attention(
        pad(qk, (0, 0, 0, missing), value=1.0),
        pad(v, (0, 0, 0, missing), value=9.0),
        buckets,
        config,
    )
    expected = branch.merge(expected[..., :length, :].transpose(1, 2).flatten(2))
    torch.testing.assert_close(branch(x, Choices(7)), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [1, 5, 37, 64])
def test_dense_attention_equals_the_reference(length):
    model = make_model(attention="dense")
    branch = model.layers[0].attention
    generator = torch.Generator().manual_seed(length)
    x = torch.randn(2, length, 16, generator=generator, dtype=torch.float64)
    normed = branch.norm(x)
    qk, v = (p(normed).unflatten(-1, (2, 8)).transpose(1, 2) for p in (branch.to_qk, branch.to_v))
    expected = branch.merge(reference_full_attention(qk, v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(branch(x, Choices(0)), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("length", [1, 5, 37, 64])
def test_one_chunk_over_everything_is_the_dense_model(length, reversible):
    lsh = make_model(attention=ONE_CHUNK, reversible=reversible).eval()
    dense = make_model(attention="dense", reversible=reversible).eval()
    tokens, targets = random_tokens(2, length), random_targets(2, length, ignored=0.2)
    found = []
    for model in (lsh, dense):
        loss = model.loss(tokens, targets)
        found.append([model(tokens), loss, *gradients(loss, model)])
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("axial", [None, (8, 8)])
@pytest.mark.parametrize("attention", [LSH, "dense"], ids=["lsh", "dense"])
@pytest.mark.parametrize("length", [11, 37, 64])
def test_no_gradient_flows_from_later_tokens(attention, axial, length):
    """Through the hash a later token can still move a chunk's edge; no gradient passes there."""
    model = make_model(attention=attention, axial_positions=axial)
    embedded = []
    model.embedding.register_forward_hook(lambda _, __, x: embedded.append(x))
    logits = model(random_tokens(3, length))
    for t in (0, 1, length // 2, length - 1):
        (grad,) = torch.autograd.grad(
            logits[:, t].square().sum(), embedded[0], retain_graph=not model.config.reversible
        )
        per_position = grad.abs().amax(dim=(0, 2))
        assert per_position[: t + 1].max() > 0
        assert per_position[t + 1 :].eq(0).all()
        if model.config.reversible:  # which lives through one backward pass
            logits = model(random_tokens(3, length))
            embedded.pop(0)


@pytest.mark.parametrize("length", [3, 11, 16])
def test_logits_do_not_depend_on_later_tokens(length):
    """One window covers everything here, so that a later token cannot move the edge of a chunk."""
    model = make_model(attention=LSHConfig(n_rounds=2, bucket_size=4, within_bucket=False)).eval()
    tokens = random_tokens(4, length)
    with torch.no_grad():
        logits = model(tokens)
        for t in range(length):
            changed = tokens.clone()
            changed[:, t:] = (tokens[:, t:] + 1 + t) % VOCABULARY
            other = model(changed)
            torch.testing.assert_close(other[:, :t], logits[:, :t], rtol=1e-12, atol=1e-12)
            assert (other[:, t] - logits[:, t]).abs().max() > 1e-6


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("loss_chunks", [1, 3, 64])
@pytest.mark.parametrize("length", [5, 37, 64])
def test_loss_is_the_cross_entropy_of_the_logits(length, loss_chunks, reversible):
    model = make_model(loss_chunks=loss_chunks, ff_chunks=loss_chunks, reversible=reversible).eval()
    tokens, targets = random_tokens(5, length), random_targets(5, length)
    loss = model.loss(tokens, targets)
    expected = cross_entropy(model(tokens).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        gradients(loss, model), gradients(expected, model), rtol=1e-11, atol=1e-12
    )
    with torch.no_grad():
        torch.testing.assert_close(model.loss(tokens, targets), loss, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": 0.2, "ff_chunks": 3, "loss_chunks": 4},
        {
            "attention": LSHConfig(n_rounds=3, bucket_size=8, causal=False),
            "axial_positions": (8, 8),
        },
        {"attention": "dense", "reversible": False},
    ],
    ids=["chunked", "non-causal", "dense"],
)
def test_gradients_equal_finite_differences(changes):
    model = make_model(**changes)
    tokens, targets = random_tokens(6, 45), random_targets(6, 45)

    def loss():
        model.generator.manual_seed(1)  # the same hashes and masks each time
        return model.loss(tokens, targets)

    grads = gradients(loss(), model)
    step = 1e-6
    for (name, parameter), grad in zip(model.named_parameters(), grads, strict=True):
        at = grad.abs().argmax()
        value = parameter.data.view(-1)
        values = []
        with torch.no_grad():
            for sign in (1, -1):
                value[at] += sign * step
                values.append(loss())
                value[at] -= sign * step
        slope = (values[0] - values[1]) / (2 * step)
        torch.testing.assert_close(
            slope, grad.view(-1)[at], rtol=1e-5, atol=1e-8, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_without_causality_every_position_sees_later_ones():
    config = LSHConfig(
        n_rounds=1, bucket_size=4, chunk_length=LENGTH, within_bucket=False, causal=False
    )
    model = make_model(attention=config)
    embedded = []
    model.embedding.register_forward_hook(lambda _, __, x: embedded.append(x))
    logits = model(random_tokens(7, 23))
    (grad,) = torch.autograd.grad(logits[:, 4].square().sum(), embedded[0])
    assert (grad.abs().amax(dim=(0, 2)) > 0).all()
    branch = model.layers[0].attention
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(2, 23, 16, generator=generator, dtype=torch.float64)
    normed = branch.norm(x)
    qk, v = (p(normed).unflatten(-1, (2, 8)).transpose(1, 2) for p in (branch.to_qk, branch.to_v))
    expected = reference_full_attention(qk, v, causal=False).transpose(1, 2).flatten(2)
    torch.testing.assert_close(
        branch(x, Choices(0)), branch.merge(expected), rtol=1e-11, atol=1e-11
    )


def test_state_goes_through_a_file(tmp_path):
    model, other = make_model(seed=1).eval(), make_model(seed=2).eval()
    tokens = random_tokens(10)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt"))
    other.config = model.config  # the seed of the hashes
    assert torch.equal(other(tokens), model(tokens))


@pytest.mark.parametrize("axial", [None, (8, 8)])
def test_embeddings_start_with_the_standard_deviation_asked_for(axial):
    """Tokens and positions are those of deviation 1 times it; other weights are the same."""
    one, small = (
        Reformer(
            ReformerConfig(
                vocabulary=50, length=64, d_model=32, axial_positions=axial, embedding_std=std
            )
        )
        for std in (1.0, 0.02)
    )
    assert one.embedding.weight.std().item() == pytest.approx(1, rel=0.1)
    for (name, a), b in zip(one.named_parameters(), small.parameters(), strict=True):
        scale = 0.02 if name.startswith(("embedding", "positions")) else 1.0
        torch.testing.assert_close(b, scale * a)
