"""Local attention is our kernel with one bucket and one round, against attention written by hand.

A position sees its chunk and the one before, in the order of positions, and nothing is hashed.
"""

import pytest
import torch
from attention_oracle import assert_near, kernel_params, outputs_and_gradients, random_inputs

from baselines import Dense, DenseConfig
from reformer import Reformer, ReformerConfig, lsh_attention
from reformer.rounds import hash_and_sort
from reformer.sorting import keep_order, sort_buckets
from suites.engine.measure.build import build_attention_call, build_model
from suites.settings import Settings

KERNELS = kernel_params("plain", "blocked", "native")


def by_hand(qk, v, chunk_length, chunks_before=1):
    """Attend a query at a time: the keys are those of its window before it, of unit length."""
    keys = qk / qk.norm(dim=-1, keepdim=True)
    rows = []
    for i in range(qk.shape[-2]):
        first = max(i // chunk_length - chunks_before, 0) * chunk_length
        seen = slice(first, i) if i > first else slice(i, i + 1)  # itself if there is nothing else
        logits = torch.einsum("bhw,bhkw->bhk", qk[:, :, i], keys[:, :, seen])
        rows.append(torch.einsum("bhk,bhkw->bhw", logits.softmax(dim=-1), v[:, :, seen]))
    return torch.stack(rows, dim=2)


def attend_by_hand(q, k, v, scale, exclude_self):
    """Be the attention of a dense model, whose keys have unit length already."""
    assert exclude_self
    assert scale == 1.0
    return by_hand(q, v, 8)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("length", "chunk", "before"), [(64, 8, 1), (48, 16, 1), (64, 16, 0), (40, 8, 2), (32, 16, 1)]
)
@pytest.mark.parametrize("seed", range(2))
def test_it_is_dense_attention_within_windows(kernel, length, chunk, before, seed):
    s = Settings(attention="local", length=length, chunk_length=chunk, chunks_before=before)
    qk, v, grad = random_inputs(seed, (2, 3, length, 8))
    attend = lambda q, w: lsh_attention(q, w, s.lsh(), kernel=kernel)  # noqa: E731
    hand = lambda q, w: by_hand(q, w, chunk, before)  # noqa: E731
    found, expected = (outputs_and_gradients(f, qk, v, grad) for f in (attend, hand))
    assert_near(found, expected)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("longest", "length"), [(64, 64), (64, 50), (64, 8), (64, 3), (50, 50), (50, 49)]
)
def test_a_model_is_the_dense_one_with_windows(kernel, longest, length):
    """The reversible dense twin around the attention by hand has the same weights, and losses.

    The settings say chunks of 8 by their buckets of 4; lengths that these do not divide are padded.
    """
    sizes = {"length": longest, "d_model": 16, "d_ff": 32, "n_heads": 2, "n_layers": 2}
    chunks = {"ff_chunks": 4, "loss_chunks": 4}
    s = Settings(attention="local", bucket_size=4, kernel=kernel, **sizes, **chunks)
    model = build_model(s, vocabulary=11, seed=3, device="cpu").double()
    name = f"{__name__}:attend_by_hand"
    same = {"shared_qk": True, "reversible": True, "seed": 3, **sizes}
    config = DenseConfig(vocabulary=11, attention=name, **same)
    twin = Dense(config).double()
    assert isinstance(model, Reformer)
    tokens, targets = torch.randint(11, (2, 2, length), generator=torch.Generator().manual_seed(1))
    for one in (model, twin):
        one.loss(tokens, targets).backward()
    torch.testing.assert_close(model.loss(tokens, targets), twin.loss(tokens, targets))
    found = [p.grad for p in model.parameters()]
    expected = [p.grad for p in twin.parameters()]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)
    assert any(gradient.abs().max() > 1e-3 for gradient in found)


def test_one_attention_call_is_local_too():
    s = Settings(
        attention="local", subject="attention", measures=("time",), length=64, chunk_length=16
    )
    call, (qk, v) = build_attention_call(s, seed=5, device="cpu")
    torch.testing.assert_close(call(), by_hand(qk, v, 16), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("valid_length", [64, 50])
def test_positions_keep_their_order_as_if_sorted(valid_length):
    buckets = torch.zeros(2, 3, 1, 64, dtype=torch.int32)
    found, expected = (f(buckets, 1, valid_length) for f in (keep_order, sort_buckets))
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype


def test_nothing_is_drawn():
    generator = torch.Generator().manual_seed(7)
    before = generator.get_state()
    config = Settings(attention="local", length=64, chunk_length=8).lsh()
    hash_and_sort(torch.randn(1, 2, 64, 8), config, generator=generator)
    assert torch.equal(generator.get_state(), before)


def test_it_is_a_reformer_like_the_others():
    """All but its attention is what the Reformer beside it has."""
    local, lsh = (
        Settings(attention=name, n_rounds=8, bucket_size=16, ff_chunks=4).config(vocabulary=256)
        for name in ("local", "lsh")
    )
    assert isinstance(local, ReformerConfig)
    assert local.attention.n_buckets(local.length) == 1
    assert local.attention.m == lsh.attention.m == 32
    assert (local.reversible, local.ff_chunks) == (lsh.reversible, lsh.ff_chunks) == (True, 4)
