"""The Triton kernel computes the paper's equations: on the CPU under Triton's interpreter.

The interpreter computes products of bfloat16 wrongly, so here everything is float32.
"""

from dataclasses import replace

import pytest
import torch
from attention_oracle import in_float64, of_kernel, of_reference, random_inputs, skewed_buckets

from reformer import LSHConfig, lsh_attention
from reformer.hashing import draw_rotations, rotate_to_buckets
from reformer.kernels import triton
from reformer.lsh_attention import attend_rounds, hash_and_sort
from reformer.sorting import met, sort_buckets, sort_rounds

CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.skipif(bool(triton.unavailable(CPU)), reason=f"triton: {triton.unavailable(CPU)}"),
    # the interpreter computes with numpy, which warns of log2(0), of -inf - -inf and of NaN
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

MIDDLE = LSHConfig(n_rounds=2, bucket_size=8, chunk_length=16)
SHAPE = (2, 2, 64, 16)
CASES = {
    "as in the paper": (MIDDLE, SHAPE),
    "1 round": (replace(MIDDLE, n_rounds=1), SHAPE),
    "5 rounds": (replace(MIDDLE, n_rounds=5), SHAPE),
    "not causal": (replace(MIDDLE, causal=False), SHAPE),
    "without bucket mask": (replace(MIDDLE, within_bucket=False), SHAPE),
    "without log N_ij": (replace(MIDDLE, correct_duplicates=False), SHAPE),
    "neither": (replace(MIDDLE, within_bucket=False, correct_duplicates=False), SHAPE),
    "another temperature": (replace(MIDDLE, logit_scale=0.3), SHAPE),
    "no chunk before": (replace(MIDDLE, chunks_before=0), SHAPE),
    "2 chunks before": (replace(MIDDLE, chunks_before=2), SHAPE),
    "1 chunk": (MIDDLE, (1, 2, 16, 16)),
    "2 chunks": (MIDDLE, (1, 2, 32, 16)),
    "1 position": (replace(MIDDLE, chunk_length=1), (2, 2, 1, 16)),
    "chunk 24, of no power of two": (replace(MIDDLE, chunk_length=24), (1, 2, 72, 16)),
    "chunk 4, less than a tile": (replace(MIDDLE, chunk_length=4), (1, 1, 24, 16)),
    "chunk 80, several tiles": (
        LSHConfig(n_rounds=2, bucket_size=40, chunk_length=80),
        (1, 1, 240, 16),
    ),
    "width 20, of no power of two": (MIDDLE, (1, 2, 64, 20)),
    "width 5, less than a tile": (MIDDLE, (1, 2, 64, 5)),
    "width 128": (MIDDLE, (1, 1, 64, 128)),
    "local": (LSHConfig(n_rounds=1, bucket_size=64, chunk_length=16), SHAPE),
}


def assert_near(found, exact, tolerance=2e-5):
    for got, expected in zip(found, exact, strict=True):
        assert got.isfinite().all()
        assert (got.double() - expected).norm() <= tolerance * expected.norm() + 1e-9


@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference(case):
    config, shape = CASES[case]
    inputs = random_inputs(2, shape, torch.float32)
    buckets = skewed_buckets(2, config, shape[:3])
    exact = of_reference(config, buckets, in_float64(inputs))
    assert_near(of_kernel("triton", config, buckets, inputs), exact)


def test_takes_views_as_a_model_makes_them_and_pieces_of_a_joint_projection():
    """Rows lie next to rows of other heads, and between those of other tensors."""
    B, H, L, W = SHAPE
    joint = torch.randn(B, L, 3, H, W)
    views = [joint[:, :, i].transpose(1, 2) for i in range(3)]
    buckets = skewed_buckets(3, MIDDLE, SHAPE[:3])
    exact = of_reference(MIDDLE, buckets, in_float64(views))
    given = [views[0].requires_grad_(), views[1].requires_grad_(), views[2].detach()]
    assert_near(of_kernel("triton", MIDDLE, buckets, given), exact)


def test_padding_is_attended_to_by_nobody():
    config, length = replace(MIDDLE, causal=False), 53
    qk, v, grad = random_inputs(4, SHAPE, torch.float32)
    rounds = hash_and_sort(qk, config, valid_length=length, kernel="plain")
    found, exact = (
        (out, *torch.autograd.grad(out, (q, w), g.to(out.dtype)))
        for q, w, g, kernel in ((qk, v, grad, "triton"), (*in_float64([qk, v, grad]), "plain"))
        for out in [attend_rounds(q, w, rounds, config, kernel)]
    )
    assert_near([x[:, :, :length] for x in found], [x[:, :, :length] for x in exact])


@pytest.mark.parametrize("n_buckets", [6, 64, 256])
def test_hashes_as_pytorch_does(n_buckets):
    vectors = torch.randn(2, 2, 70, 16)
    config = LSHConfig(n_rounds=3, bucket_size=1, chunk_length=1)
    factors = config.hash_factors(n_buckets) if n_buckets > 128 else (n_buckets,)
    rotations = draw_rotations(16, factors, 3, torch.Generator().manual_seed(5))
    found = triton.hash_to_buckets(vectors, rotations, 3)
    expected = rotate_to_buckets(vectors, rotations, 3)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert (found == expected).float().mean() > 0.995


def test_a_vector_of_nan_has_a_legal_bucket():
    vectors = torch.randn(1, 1, 32, 16)
    vectors[0, 0, 3] = torch.nan
    rotations = draw_rotations(16, (6,), 2)
    assert triton.hash_to_buckets(vectors, rotations, 2).max() < 6


@pytest.mark.parametrize("valid_length", [64, 40])
def test_sorts_as_pytorch_does(valid_length):
    buckets = torch.randint(0, 10, (2, 2, 3, 64), dtype=torch.int32)
    found = triton.sort_buckets(buckets, 10, valid_length)
    for got, expected in zip(found, sort_buckets(buckets, 10, valid_length), strict=True):
        assert got.dtype == expected.dtype
        assert torch.equal(got, expected)


@pytest.mark.parametrize("chunks_before", [0, 1, 2])
@pytest.mark.parametrize("within_bucket", [True, False])
def test_cells_tell_which_pairs_meet(within_bucket, chunks_before):
    from reformer.kernels.triton.attention import cells_of

    config = replace(MIDDLE, n_rounds=3, within_bucket=within_bucket, chunks_before=chunks_before)
    for buckets in (skewed_buckets(6, config, SHAPE[:3]), torch.zeros(2, 2, 3, 64).int()):
        rounds = sort_rounds(buckets, config.n_buckets(SHAPE[2]), config)
        seen_from = cells_of(rounds, config)
        found = (seen_from[:, :, :, None, :, :1] == seen_from[:, :, None]).any(dim=-1)
        cells = rounds.cells_BHRL().permute(0, 1, 3, 2)
        expected = met(cells[:, :, :, None], cells[:, :, None], rounds.n_chunks, chunks_before)
        assert torch.equal(found, expected)


def test_the_same_input_gives_the_same_bits():
    inputs = random_inputs(7, SHAPE, torch.float32)
    buckets = skewed_buckets(7, MIDDLE, SHAPE[:3])
    first, second = (of_kernel("triton", MIDDLE, buckets, inputs) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [((1, 1, 32, 16), torch.float64, "float64"), ((1, 1, 32, 160), torch.float32, "width 128")],
)
def test_what_it_cannot_take_is_refused_in_a_sentence(shape, dtype, said):
    qk, v = torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)
    with pytest.raises(ValueError, match=f'kernel "triton" cannot run here: .*{said}.*"blocked"'):
        lsh_attention(qk, v, MIDDLE, kernel="triton")
