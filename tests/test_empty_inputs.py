"""What is empty or unusual but legal gives what PyTorch or the reference gives."""

import numpy as np
import pytest
import torch
from attention_oracle import outputs_and_gradients, random_inputs
from small_models import BUCKETS, KERNELS, LSH, MODELS, QK, TOKENS, V

from reformer import hash_buckets, lsh_attention
from reformer.inputs import MOST_BUCKETS
from reformer.loss import IGNORED
from reformer.reference import reference_attention

models = pytest.mark.parametrize("name", MODELS)


@models
@pytest.mark.parametrize("length", [64, 37, 1])
def test_a_batch_of_none_gives_logits_of_none(name, length):
    model, none = MODELS[name](), torch.zeros(0, length, dtype=torch.long)
    assert model(none).shape == (0, length, 64)
    loss = model.loss(none, none)
    loss.backward()
    assert loss == 0
    assert all(p.grad is None or p.grad.eq(0).all() for p in model.parameters())
    with torch.inference_mode():
        assert model.eval()(none).shape == (0, length, 64)


@models
def test_the_loss_is_0_where_no_target_counts(name):
    model = MODELS[name]()
    loss = model.loss(TOKENS, torch.full_like(TOKENS, IGNORED))
    loss.backward()
    assert loss == 0
    assert all(p.grad.eq(0).all() for p in model.parameters())


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", [(0, 2, 64, 8), (2, 0, 64, 8), (0, 0, 16, 1)], ids=str)
@pytest.mark.parametrize("given", [False, True])
def test_attention_of_none_is_none(kernel, shape, given):
    qk, v, grad = random_inputs(1, shape)
    buckets = torch.zeros(*shape[:2], 2, shape[2], dtype=torch.long) if given else None
    out, dqk, dv = outputs_and_gradients(
        lambda q, v: lsh_attention(q, v, LSH, buckets=buckets, kernel=kernel), qk, v, grad
    )
    assert out.shape == dqk.shape == dv.shape == shape
    assert out.dtype == v.dtype


def test_hashes_of_none_are_none():
    for shape in ((0, 2, 64, 8), (2, 0, 64, 8), (2, 2, 0, 8)):
        B, H, L, _ = shape
        assert hash_buckets(torch.zeros(shape), n_buckets=8, n_rounds=3).shape == (B, H, 3, L)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_width_of_1_is_attended_with(kernel):
    qk, v, grad = random_inputs(2, (1, 2, 64, 1))
    buckets = BUCKETS[:, :, :, :64]
    found = outputs_and_gradients(
        lambda q, v: lsh_attention(q, v, LSH, buckets=buckets, kernel=kernel), qk, v, grad
    )
    expected = outputs_and_gradients(
        lambda q, v: reference_attention(q, v, buckets, LSH), qk, v, grad
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert lsh_attention(qk, v, LSH, kernel=kernel).isfinite().all()


@models
def test_int32_tokens_and_targets_are_as_good_as_int64(name):
    found, expected = (MODELS[name]().loss(x, x) for x in (TOKENS.int(), TOKENS))
    assert torch.equal(found, expected)


def test_a_position_of_another_library_counts():
    losses = [
        MODELS["reformer"]().loss(TOKENS[:, :8], TOKENS[:, :8], first)
        for first in (5, np.int64(5), torch.tensor(5))
    ]
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("at", [0, 20, 63])
def test_what_is_not_finite_is_seen_by_all_whom_it_concerns(kernel, bad, at):
    """Position 0, which attends to nobody else here, keeps its own value but in plain."""
    qk = QK.double()
    qk[0, 0, at, 3] = bad
    expected = reference_attention(qk, V.double(), BUCKETS, LSH).isnan()
    out = lsh_attention(qk, V.double(), LSH, buckets=BUCKETS, kernel=kernel)
    if at == 0 and kernel != "plain":
        assert torch.equal(out[0, 0, 0], V[0, 0, 0].double())
        expected[0, 0, 0] = False
    assert expected.any()
    assert torch.equal(out.isnan(), expected)
    lsh_attention(qk, V.double(), LSH, kernel=kernel)  # nor does its hash leave the range


def test_bucket_numbers_of_any_integer_type_and_any_size_that_fits():
    expected = lsh_attention(QK, V, LSH, buckets=BUCKETS)
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        assert torch.equal(lsh_attention(QK, V, LSH, buckets=BUCKETS.to(dtype)), expected)
    apart = BUCKETS * ((MOST_BUCKETS - 1) // 7)
    assert torch.equal(lsh_attention(QK, V, LSH, buckets=apart), expected)
