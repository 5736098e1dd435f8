"""lsh_attention equals the paper's equations: outputs, gradients, every switch, every kernel."""

import itertools
from dataclasses import replace

import pytest
import torch
from attention_oracle import (
    assert_equal_to_reference,
    assert_float32_is_as_exact_as_the_reference,
    assert_near,
    kernel_params,
    of_kernel,
    of_reference,
    outputs_and_gradients,
    random_buckets,
    random_inputs,
)

from reformer import LSHConfig, hash_buckets, lsh_attention
from reformer.hashing import draw_rotations, exact_factors, rotate_to_buckets
from reformer.reference import reference_buckets, reference_full_attention
from reformer.rounds import attend_rounds
from reformer.sorting import sort_rounds

# "compiled" and, but for single cases, "flex" have files of their own: a call costs seconds.
QUICK = kernel_params("plain", "blocked", "native")
QUICK_AND_FLEX = kernel_params("plain", "blocked", "native", "flex")


@pytest.mark.parametrize("kernel", QUICK)
@pytest.mark.parametrize("n_rounds", range(1, 9))
def test_equals_reference_over_rounds(kernel, n_rounds):
    for seed in range(3):
        assert_equal_to_reference(LSHConfig(n_rounds=n_rounds, bucket_size=4), kernel, seed)


@pytest.mark.parametrize("kernel", QUICK)
@pytest.mark.parametrize(
    ("bucket_size", "chunk_length"), [(4, 4), (4, 16), (16, 8), (2, 32), (8, 64), (64, 8)]
)
def test_equals_reference_over_sizes(kernel, bucket_size, chunk_length):
    config = LSHConfig(n_rounds=3, bucket_size=bucket_size, chunk_length=chunk_length)
    assert_equal_to_reference(config, kernel, seed=bucket_size)


SWITCHES = [
    dict(
        zip(("causal", "within_bucket", "correct_duplicates", "chunks_before"), values, strict=True)
    )
    for values in itertools.product((True, False), (True, False), (True, False), (0, 1, 2, 5))
]


@pytest.mark.parametrize("kernel", QUICK)
@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_equals_reference_for_every_switch(kernel, switches):
    config = LSHConfig(n_rounds=3, bucket_size=8, chunk_length=8, logit_scale=0.7, **switches)
    assert_equal_to_reference(config, kernel, seed=1, shape=(1, 2, 48, 4))


@pytest.mark.parametrize("kernel", QUICK_AND_FLEX)
def test_equals_reference_when_one_bucket_fills_the_round(kernel):
    config = LSHConfig(n_rounds=2, bucket_size=4, causal=False)
    buckets = torch.zeros(1, 1, 2, 64, dtype=torch.long)
    buckets[:, :, 1, 60:] = 3
    assert_equal_to_reference(config, kernel, seed=2, shape=(1, 1, 64, 4), buckets=buckets)


@pytest.mark.parametrize("kernel", QUICK_AND_FLEX)
def test_one_chunk_is_full_attention(kernel):
    qk, v, grad = random_inputs(3)
    for causal in (True, False):
        config = LSHConfig(
            n_rounds=1, bucket_size=8, chunk_length=64, within_bucket=False, causal=causal
        )
        ours = outputs_and_gradients(
            lambda q, v, c=config: lsh_attention(q, v, c, kernel=kernel), qk, v, grad
        )
        full = outputs_and_gradients(
            lambda q, v, c=causal: reference_full_attention(q, v, c), qk, v, grad
        )
        torch.testing.assert_close(ours, full, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel", QUICK_AND_FLEX)
@pytest.mark.parametrize("n_rounds", [1, 4])
def test_float32_error_is_at_most_twice_the_references(kernel, n_rounds):
    config = LSHConfig(n_rounds=n_rounds, bucket_size=8)
    shape = (2, 2, 256, 16)
    buckets = random_buckets(5, config, shape[:3])
    assert_float32_is_as_exact_as_the_reference(config, kernel, 5, shape, buckets)


@pytest.mark.parametrize("kernel", QUICK_AND_FLEX)
@pytest.mark.parametrize("within_bucket", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_padding_is_not_attended_to(kernel, within_bucket, causal):
    config = LSHConfig(
        n_rounds=2, bucket_size=8, chunk_length=40, causal=causal, within_bucket=within_bucket
    )
    qk, v, grad = random_inputs(6, (1, 2, 40, 8))
    rounds = sort_rounds(random_buckets(6, config, (1, 2, 40)), config.n_buckets(40), config, 33)
    grad[:, :, 33:] = 0
    out, dqk, dv = outputs_and_gradients(
        lambda q, v: attend_rounds(q, v, rounds, config, kernel), qk, v, grad
    )
    other_qk, other_v = qk.detach().clone(), v.detach().clone()
    other_qk[:, :, 33:] = 7.0
    other_v[:, :, 33:] = -9.0
    other = attend_rounds(other_qk, other_v, rounds, config, kernel)
    torch.testing.assert_close(out[:, :, :33], other[:, :, :33], rtol=1e-12, atol=1e-12)
    assert dqk[:, :, 33:].abs().max() == 0
    assert dv[:, :, 33:].abs().max() == 0


def transposed(x):
    """Lay x out as a model makes it: (B, L, H, W) in memory."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def every_other_number(x):
    wide = torch.stack([x, torch.full_like(x, torch.nan)], dim=-1)
    return wide.flatten(-2)[..., ::2]


def backwards_in_memory(x):
    """Lay sequences next to each other, so that the length is the last stride."""
    return x.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)


@pytest.mark.parametrize("kernel", QUICK_AND_FLEX)
@pytest.mark.parametrize("layout", [transposed, every_other_number, backwards_in_memory])
def test_non_contiguous_inputs(kernel, layout):
    config = LSHConfig(n_rounds=2, bucket_size=4)
    qk, v, grad = (layout(x.detach()) for x in random_inputs(7))
    assert not any(x.is_contiguous() for x in (qk, v, grad))
    inputs = qk.requires_grad_(), v.requires_grad_(), grad
    buckets = random_buckets(7, config)
    assert_near(of_kernel(kernel, config, buckets, inputs), of_reference(config, buckets, inputs))


@pytest.mark.parametrize("kernel", QUICK_AND_FLEX)
def test_one_vector_for_the_whole_batch_without_copies(kernel):
    config = LSHConfig(n_rounds=2, bucket_size=4)
    one = random_inputs(7, (1, 1, 64, 8))
    qk, v, grad = (x.detach().expand(2, 3, 64, 8) for x in one)
    inputs = qk.requires_grad_(), v.requires_grad_(), grad
    buckets = random_buckets(7, config)
    assert_near(of_kernel(kernel, config, buckets, inputs), of_reference(config, buckets, inputs))


@pytest.mark.parametrize("n_buckets", [2, 6, 64, 128, 192, 256])
def test_hash_equals_reference(n_buckets):
    vectors, *_ = random_inputs(8, (2, 2, 100, 16))
    rotations = draw_rotations(16, exact_factors(n_buckets), 3, torch.Generator().manual_seed(8))
    buckets = rotate_to_buckets(vectors, rotations, 3)
    assert torch.equal(buckets.long(), reference_buckets(vectors, rotations))
    again = hash_buckets(
        vectors, n_buckets=n_buckets, n_rounds=3, generator=torch.Generator().manual_seed(8)
    )
    assert torch.equal(buckets, again)
    assert int(buckets.max()) < n_buckets
    assert len(buckets.unique()) > min(n_buckets, 64) // 2


@pytest.mark.parametrize("factors", [(8,), (32, 32), (256,)])
def test_columns_of_a_round_are_random_rotations(factors):
    W, R = 24, 3
    rotations = draw_rotations(W, factors, R, torch.Generator().manual_seed(0))
    columns_RWX = torch.cat(rotations, dim=-1).permute(1, 0, 2)
    assert columns_RWX.shape == (R, W, sum(factors) // 2)
    n_blocks = -(-columns_RWX.shape[-1] // W)
    for block in columns_RWX.split(-(-columns_RWX.shape[-1] // n_blocks), dim=-1):
        gram = block.transpose(-1, -2) @ block
        torch.testing.assert_close(gram, torch.eye(gram.shape[-1]).double().expand_as(gram))
    assert not torch.allclose(columns_RWX[0].abs(), columns_RWX[1].abs())  # fresh per round


def test_vectors_without_structure_fill_buckets_evenly():
    """The columns of all factors are orthogonal here; independent normals would give 1.5."""
    vectors, *_ = random_inputs(3, (1, 1, 65536, 64), torch.float32)
    buckets = hash_buckets(
        vectors, n_buckets=1024, n_rounds=2, generator=torch.Generator().manual_seed(4)
    )
    for bucket_L in buckets[0, 0]:
        sizes = torch.bincount(bucket_L, minlength=1024).double()
        # of independent draws the variance of a size is its mean, 64
        assert sizes.square().mean() / 64**2 < 1 + 1.5 / 64


def test_near_vectors_share_buckets_more_often_than_far_ones():
    vectors, *_ = random_inputs(9, (1, 1, 500, 16))
    noise, *_ = random_inputs(10, (1, 1, 500, 16))
    both = torch.cat([vectors, vectors + 0.1 * noise], dim=2)
    buckets = hash_buckets(
        both, n_buckets=32, n_rounds=8, generator=torch.Generator().manual_seed(1)
    )
    near = (buckets[..., :500] == buckets[..., 500:]).double().mean()
    far = (buckets[..., :500] == buckets[..., 500:].roll(1, dims=-1)).double().mean()
    assert near > 0.7
    assert far < 0.1


def test_refuses_what_does_not_fit():
    qk, v, _ = random_inputs(11, (1, 1, 60, 8))
    with pytest.raises(
        ValueError, match="length 60 is not a multiple of chunk_length 16; nearest legal: 48, 64"
    ):
        lsh_attention(qk, v, LSHConfig(bucket_size=8))
    with pytest.raises(ValueError, match="must both be"):
        lsh_attention(qk, v[:, :, :30], LSHConfig(bucket_size=8))
    with pytest.raises(ValueError, match="did you mean 'blocked'"):
        lsh_attention(qk, v, LSHConfig(chunk_length=20), kernel="bloked")
    with pytest.raises(ValueError, match="buckets are"):
        lsh_attention(qk, v, LSHConfig(chunk_length=20), buckets=torch.zeros(1, 1, 2, 60).long())
    with pytest.raises(ValueError, match="even"):
        hash_buckets(qk, n_buckets=7, n_rounds=1)


@pytest.mark.parametrize("kernel", QUICK_AND_FLEX)
def test_normal_rotations_are_what_the_generator_gives(kernel):
    """As in the authors' code: columns of independent normals."""
    config = LSHConfig(n_rounds=3, bucket_size=4, rotation="normal")
    qk, v, _ = random_inputs(11, (2, 2, 64, 16))
    seeded = torch.Generator().manual_seed
    drawn_RWN = torch.randn(3, 16, 8, generator=seeded(5), dtype=torch.float64)
    buckets = reference_buckets(qk, [drawn_RWN.transpose(0, 1)])
    expected = lsh_attention(qk, v, config, buckets=buckets, kernel=kernel)
    found = lsh_attention(qk, v, config, generator=seeded(5), kernel=kernel)
    torch.testing.assert_close(found, expected)
    usual = replace(config, rotation="orthonormal")
    other = lsh_attention(qk, v, usual, generator=seeded(5), kernel=kernel)
    assert not torch.allclose(other, expected)
