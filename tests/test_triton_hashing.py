"""The Triton kernel draws, hashes and sorts as PyTorch does: on a GPU, or in its interpreter."""

from dataclasses import replace

import pytest
import torch
from attention_oracle import skewed_buckets

from reformer import LSHConfig
from reformer.hashing import blocks_of, draw_rotations, rotate_to_buckets
from reformer.kernels import triton
from reformer.rounds import attend_rounds, hash_and_sort
from reformer.sorting import sort_buckets, sort_rounds

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if ON_GPU else "cpu")
WHY_NOT = triton.unavailable(DEVICE)
pytestmark = [
    pytest.mark.skipif(bool(WHY_NOT), reason=f"triton: {WHY_NOT}"),
    *([pytest.mark.gpu] if ON_GPU else []),
]


@pytest.mark.parametrize("factors", [(6,), (64,), (16, 16), (300,)], ids=str)
def test_hashes_as_pytorch_does(factors):
    """300 buckets of one rotation are more columns than the kernel takes."""
    vectors = torch.randn(2, 2, 70, 16).to(DEVICE)
    rotations = draw_rotations(16, factors, 3, torch.Generator().manual_seed(5))
    found = triton.hash_to_buckets(vectors, rotations, 3)
    expected = rotate_to_buckets(vectors, rotations, 3)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert (found == expected).float().mean() > 0.995


def test_a_vector_of_nan_has_a_legal_bucket():
    vectors = torch.randn(1, 1, 32, 16).to(DEVICE)
    vectors[0, 0, 3] = torch.nan
    found = triton.hash_to_buckets(vectors, draw_rotations(16, (6,), 2), 2)
    assert 0 <= found.min()
    assert found.max() < 6


@pytest.mark.parametrize(
    ("factors", "width"), [((6,), 16), ((64,), 16), ((16, 32), 16), ((42,), 20)], ids=str
)
def test_draws_orthonormal_rotations_and_normal_ones(factors, width):
    """In the shapes of the CPU's; 64 buckets of width 16 are two blocks of 16 columns."""
    from reformer.kernels.triton import rotations

    def draw(seed, orthonormal):
        like = torch.empty(1, 1, 1, width, device=DEVICE)
        generator = torch.Generator().manual_seed(seed)
        return rotations.draw_rotations(like, factors, 3, generator, orthonormal)

    found = draw(1, orthonormal=True)
    for got, expected in zip(found, draw_rotations(width, factors, 3), strict=True):
        assert (got.shape, got.device.type) == (expected.shape, DEVICE.type)
    _, per_block = blocks_of([n // 2 for n in factors], width)
    blocks = torch.cat(found, dim=-1).double().cpu().permute(1, 2, 0).split(per_block, dim=1)
    for rows in blocks:
        assert (rows @ rows.mT - torch.eye(rows.shape[1])).abs().max() < 1e-5
    assert len(blocks) == 1 or not torch.equal(blocks[0][:, :1], blocks[1][:, :1])
    everything = torch.cat([rows.flatten(1) for rows in blocks], dim=1)
    assert not torch.equal(everything[0], everything[1]), "rounds have the same rotation"
    assert torch.equal(found[0], draw(1, orthonormal=True)[0])
    assert not torch.equal(found[0], draw(2, orthonormal=True)[0])


@pytest.mark.parametrize("orthonormal", [True, False])
def test_rotations_prefer_no_direction(orthonormal):
    """In each direction the mean square is 1 / width, or 1, and all means are 0."""
    from reformer.kernels.triton import rotations

    like = torch.empty(1, 1, 1, 32, device=DEVICE)
    generator = torch.Generator().manual_seed(3)
    [found] = rotations.draw_rotations(like, (128,), 32, generator, orthonormal)
    found = found.double().cpu().flatten(1) * (32**0.5 if orthonormal else 1)
    n = found.shape[1]
    assert (found.mean(dim=1) * n**0.5).abs().max() < 5
    assert ((found.square().mean(dim=1) - 1) * (n / 2) ** 0.5).abs().max() < 5
    assert abs((found[0] * found[1]).mean() * n**0.5) < 5


@pytest.mark.skipif(not ON_GPU, reason="needs a CUDA device")
def test_a_cuda_graph_hashes_anew_at_each_replay():
    """A graph holds what was launched: a hash of the CPU's would be the same in all replays."""
    config = LSHConfig(n_rounds=2, bucket_size=16, chunk_length=32)
    qk, v = (torch.randn(1, 2, 8192, 16, device=DEVICE) for _ in range(2))

    def call():
        rounds = hash_and_sort(qk, config, kernel="triton")
        return rounds, attend_rounds(qk, v, rounds, config, "triton")

    beside = torch.cuda.Stream()
    with torch.cuda.stream(beside):
        call()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        rounds, out = call()
    orders = []
    for _ in range(3):
        graph.replay()
        orders.append(rounds.order_BHRL.clone())
        expected = attend_rounds(qk, v, rounds, config, "blocked")
        assert (out - expected).norm() <= 2e-5 * expected.norm()
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[1], orders[2])
    with (
        pytest.raises(ValueError, match="without generator"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        hash_and_sort(qk, config, kernel="triton", generator=torch.Generator())


@pytest.mark.parametrize("valid_length", [64, 40])
@pytest.mark.parametrize("n_buckets", [10, 40_000])
@pytest.mark.parametrize("as_one", [True, False])
def test_sorts_as_pytorch_does(as_one, valid_length, n_buckets, monkeypatch):
    """40,000 numbers are more than 16 bits hold; long lists are sorted as one."""
    monkeypatch.setattr(triton, "SHORT_LIST", 0 if as_one else 64)
    buckets = torch.randint(0, n_buckets, (2, 2, 3, 64), dtype=torch.int32).to(DEVICE)
    found = triton.sort_buckets(buckets, n_buckets, valid_length)
    for got, expected in zip(found, sort_buckets(buckets, n_buckets, valid_length), strict=True):
        assert got.dtype == expected.dtype
        assert torch.equal(got, expected)


@pytest.mark.parametrize("chunks_before", [0, 1, 2])
@pytest.mark.parametrize("within_bucket", [True, False])
@pytest.mark.parametrize("bits", [32, 64])
def test_cells_are_those_of_the_other_kernels(within_bucket, chunks_before, bits, monkeypatch):
    from reformer.kernels.triton import attention

    monkeypatch.setattr(attention, "MOST_CELLS", 1 if bits == 64 else 2**31)
    config = LSHConfig(n_rounds=3, bucket_size=8, chunk_length=16)
    config = replace(config, within_bucket=within_bucket, chunks_before=chunks_before)
    for buckets in (skewed_buckets(6, config, (2, 2, 64)), torch.zeros(2, 2, 3, 64).int()):
        rounds = sort_rounds(buckets.to(DEVICE), config.n_buckets(64), config)
        found = attention.cells_of(rounds, config)
        assert found.dtype == (torch.int64 if bits == 64 else torch.int32)
        assert torch.equal(found.long(), rounds.cells_BHRL().permute(0, 1, 3, 2).long())
