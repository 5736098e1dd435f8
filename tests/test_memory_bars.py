"""The project's bars of memory hold, by the peak of live tensor storage, alike on every machine.

The region is one forward and backward pass with the gradients allocated before it, so that what
stands above the baseline is activations and workspace: what the paper is about.
"""

import pytest
import torch

from baselines import Dense, DenseConfig
from reformer import Reformer, ReformerConfig
from reformer.choices import Choices
from reformer.feed_forward import FeedForward
from suites.engine.measure.memory import LivePeak

LENGTH = 1024
SIZES = {"d_model": 256, "d_ff": 1024, "n_heads": 4}
SHARED = {"vocabulary": 256, "length": LENGTH, **SIZES}


def watched(module, inputs):
    """Make a tracker that counts the parameters, their gradients and the inputs as there before."""
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return LivePeak([*module.parameters(), *(p.grad for p in module.parameters()), *inputs])


def model_bytes(model):
    """Return the peak of a forward and backward pass, and what the forward pass leaves stored."""
    vocabulary = model.config.vocabulary
    tokens = torch.randint(vocabulary, (1, LENGTH), generator=torch.Generator().manual_seed(1))
    with watched(model, [tokens]) as watch:
        model.zero_grad(set_to_none=False)
        loss = model.loss(tokens, tokens)
        stored = watch.bytes - watch.baseline_bytes
        loss.backward()
    return watch.peak_bytes - watch.baseline_bytes, stored


def reformer_bytes(n_layers, **changes):
    chunks = {"ff_chunks": 8, "loss_chunks": 8}
    return model_bytes(
        Reformer(ReformerConfig(**SHARED | chunks | {"n_layers": n_layers} | changes))
    )


def dense_bytes(n_layers, attention):
    return model_bytes(Dense(DenseConfig(n_layers=n_layers, attention=attention, **SHARED)))


def feed_forward_bytes(n_chunks, length):
    config = ReformerConfig(vocabulary=2, length=length, ff_chunks=n_chunks, **SIZES)
    block = FeedForward(config)
    x, grad = torch.randn((2, 1, length, 256), generator=torch.Generator().manual_seed(2)).unbind()
    x = x.clone().requires_grad_()
    x.grad = torch.zeros_like(x)
    with watched(block, [x, x.grad, grad]) as watch:
        block(x, Choices(seed=0)).backward(grad)
    return watch.peak_bytes - watch.baseline_bytes


def test_the_ruler_counts_storage_once_and_forgets_what_is_freed():
    kept = torch.zeros(1000)
    with LivePeak([kept, kept.view(10, 100)]) as watch:
        big = torch.zeros(5000)
        view = big[:10]
        del big, view
        small = torch.zeros(3000)
    assert watch.baseline_bytes == 4000
    assert watch.peak_bytes - watch.baseline_bytes == 20000
    assert small.numel() == 3000


def test_reversible_layers_need_the_memory_of_two_whatever_the_depth():
    (peak_2, stored_2), (peak_12, stored_12) = reformer_bytes(2), reformer_bytes(12)
    assert peak_12 <= 1.1 * peak_2, f"12 layers need {peak_12 / peak_2:.2f} times as much as 2"
    orders = 10 * 4 * 4 * LENGTH * 4  # of 10 more hashes: heads, rounds, length, int32
    assert orders <= stored_12 - stored_2 <= 1.05 * orders  # and where their buckets end


@pytest.mark.parametrize("attention", ["naive", "sdpa"])
def test_the_dense_twin_stores_the_activations_of_every_layer(attention):
    """6 times the layers store nearly 6 times as much; a peak adds the workspace of one layer."""
    (peak_2, stored_2), (peak_12, stored_12) = dense_bytes(2, attention), dense_bytes(12, attention)
    assert 5.2 <= stored_12 / stored_2 <= 6, f"{stored_12 / stored_2:.2f} times the activations"
    assert 4.2 <= peak_12 / peak_2 <= 6, f"{peak_12 / peak_2:.2f} times the peak"


def test_reformer_layers_without_reversibility_store_their_activations():
    _, stored = reformer_bytes(2)
    (_, ordinary_1), (_, ordinary_2) = (reformer_bytes(n, reversible=False) for n in (1, 2))
    streams = 4 * LENGTH * SIZES["d_model"]
    assert ordinary_2 - ordinary_1 > 5 * streams
    assert ordinary_2 > 3 * stored


@pytest.mark.parametrize(("length", "bar"), [(1024, 2.0), (4096, 2.5)])
def test_chunked_feed_forward_needs_less_memory_in_training(length, bar):
    """At 1024 positions the gradients of the weights, which no chunking lowers, are most of it."""
    whole, chunked = feed_forward_bytes(1, length), feed_forward_bytes(16, length)
    assert whole >= bar * chunked, f"16 chunks lower the peak only {whole / chunked:.2f} times"


def test_loss_in_chunks_never_holds_all_logits():
    needed = {
        chunks: reformer_bytes(1, vocabulary=4096, loss_chunks=chunks)[0] for chunks in (1, 16)
    }
    all_logits = 4 * LENGTH * 4096
    assert needed[1] - needed[16] > all_logits
