"""Each part of a Reformer layer is timed alone, and checked to have done its work.

Shapes: B batch, H heads, L length, W head width, R rounds, N buckets, D model width.
"""

import pytest
import torch

from reformer import LSHConfig, ReformerConfig, kernels
from reformer.choices import Choices
from reformer.feed_forward import FeedForward
from reformer.hashing import draw_rotations, rotate_to_buckets
from reformer.kernels import native
from reformer.model import Reformer
from reformer.reversible import run_reversible
from reformer.rounds import attend_rounds, hash_and_sort
from reformer.sorting import sort_buckets

H, W = 4, 64
D = H * W
CONFIG = LSHConfig(n_rounds=4, bucket_size=64, chunk_length=64)
FF_CHUNKS = 8
# Kernels that have a hash and a sort of their own; the others share that of "blocked".
HASH = {"blocked": rotate_to_buckets, "native": native.hash_to_buckets}
SORT = {"blocked": sort_buckets, "native": native.sort_buckets}
WITH_OWN_HASH = pytest.mark.parametrize("kernel", HASH, indirect=True)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sorted_rounds(qk_BHLW):
    return hash_and_sort(qk_BHLW, CONFIG, generator=torch.Generator().manual_seed(0))


def layer_of(length):
    """Build a reversible layer with a chunked feed-forward part."""
    config = ReformerConfig(
        vocabulary=256,
        length=length,
        d_model=D,
        n_heads=H,
        n_layers=1,
        ff_chunks=FF_CHUNKS,
        attention=CONFIG,
    )
    return Reformer(config).layers[0]


@WITH_OWN_HASH
def test_hash(measure, length, kernel):
    vectors_BHLW = draw(1, H, length, W)
    n_buckets, factors = CONFIG.n_buckets(length), CONFIG.hash_factors(length)
    generator = torch.Generator().manual_seed(0)
    rotations = draw_rotations(W, factors, CONFIG.n_rounds, generator)
    buckets_BHRL = measure(lambda: HASH[kernel](vectors_BHLW, rotations, CONFIG.n_rounds), kernel)
    assert buckets_BHRL.shape == (1, H, CONFIG.n_rounds, length)
    for buckets_L in buckets_BHRL.flatten(0, 2):
        assert torch.equal(buckets_L.unique(), torch.arange(n_buckets, dtype=torch.int32))


@WITH_OWN_HASH
def test_sort(measure, length, kernel):
    n_buckets = CONFIG.n_buckets(length)
    shape = (1, H, CONFIG.n_rounds, length)
    generator = torch.Generator().manual_seed(0)
    buckets_BHRL = torch.randint(n_buckets, shape, generator=generator, dtype=torch.int32)
    order, ends = measure(lambda: SORT[kernel](buckets_BHRL, n_buckets, length), kernel)
    assert (order.sort(dim=-1).values == torch.arange(length)).all(), "every position once"
    key = buckets_BHRL.gather(-1, order.long()) * length + order
    assert (key.diff(dim=-1) > 0).all(), "by bucket, then by position"
    assert (ends[..., -1] == length).all()


def test_attend(measure, length, kernel):
    qk_BHLW, v_BHLW = draw(1, H, length, W), draw(1, H, length, W, seed=1)
    rounds = sorted_rounds(qk_BHLW)
    out_BHLW = measure(lambda: attend_rounds(qk_BHLW, v_BHLW, rounds, CONFIG, kernel), kernel)
    assert out_BHLW.shape == v_BHLW.shape
    assert out_BHLW.isfinite().all()
    # the first position sees only itself, the last ones mix many values
    torch.testing.assert_close(out_BHLW[:, :, 0], v_BHLW[:, :, 0])
    assert out_BHLW[:, :, -1].std() < 0.9 * v_BHLW[:, :, -1].std()


def test_attend_backward(measure, length, kernel):
    qk, v, gradient = (draw(1, H, length, W, seed=i) for i in range(3))
    inputs = [x.requires_grad_() for x in (qk, v)]
    out = attend_rounds(qk, v, sorted_rounds(qk), CONFIG, kernel)
    dqk, dv = measure(lambda: torch.autograd.grad(out, inputs, gradient, retain_graph=True), kernel)
    assert dqk.isfinite().all()
    assert dqk.abs().max() > 0
    # the weights of a position sum to 1
    torch.testing.assert_close(dv.sum(dim=2), gradient.sum(dim=2), rtol=1e-4, atol=1e-3)


def test_feed_forward(measure, length):
    feed_forward, x = layer_of(length).feed_forward, draw(1, length, D)
    with torch.no_grad():
        out = measure(lambda: feed_forward(x, Choices(0)))
        torch.testing.assert_close(out, in_one_piece(feed_forward, x))


def test_feed_forward_and_gradients(measure, length):
    feed_forward = layer_of(length).feed_forward
    x, gradient = draw(1, length, D), draw(1, length, D, seed=1)
    out, dx, grads = measure(lambda: feed_forward.forward_and_gradients(x, Choices(0), gradient))
    torch.testing.assert_close(out, in_one_piece(feed_forward, x).detach())
    assert dx.shape == x.shape
    assert all(g.isfinite().all() and g.abs().max() > 0 for g in (dx, *grads))


def in_one_piece(feed_forward: FeedForward, x):
    feed_forward.n_chunks = 1
    return feed_forward(x, Choices(0))


def test_reversible_layer_step(measure, length):
    """Forward and backward are timed together, and each call hashes anew, as in training."""
    layer = layer_of(length)
    x1, x2 = (draw(1, length, D, seed=i).requires_grad_() for i in range(2))
    gradient = draw(1, length, D, seed=2)

    def step():
        choices = [(Choices(0), Choices(1))]
        y1, y2 = run_reversible([layer], x1, x2, choices)
        grads = torch.autograd.grad((y1, y2), (x1, x2, *layer.parameters()), (gradient, gradient))
        return y1.detach(), y2.detach(), grads

    y1, y2, grads = measure(step, kernels.pick("auto", x1))
    assert all(g.isfinite().all() and g.abs().max() > 0 for g in grads)
    with torch.no_grad():
        back = layer.inverse(y1, y2, (Choices(0), Choices(1)))
    for found, x in zip(back, (x1, x2), strict=True):
        torch.testing.assert_close(found, x.detach(), rtol=1e-4, atol=1e-4)
