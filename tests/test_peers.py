"""The published Reformers' attention equals ours: outputs, gradients, hashes.

They agree wherever their windows do. Three differences in the peers are left out, or bounded, with
their reason: the windows of first chunks, the rounding at positions that are alone, and two small
constants (1e-9 within reformer-pytorch's logarithm, 1e-6 within transformers' norm).
"""

from dataclasses import replace

import pytest
import torch

from baselines.config import DIFFERENCES, PEERS
from baselines.peers import equal_config, peer_attention
from reformer import LSHConfig, lsh_attention
from reformer.reference import attended_sets

PACKAGES = {name: name.removesuffix("-exact").replace("-", "_") for name in PEERS}
WIDTH = 16

# The error of a weight of exp(z_r - z) in float32, where z = logsumexp_r(z_r) is rounded to the
# spacing of floats at the peer's self penalty: half of 2^-8 at 5e4, half of 2^-7 at 1e5.
ALONE_ERROR = {
    "reformer-pytorch": 2**-9,
    "reformer-pytorch-exact": 2**-9,
    "transformers": 2**-8,
}
# In float64 that error vanishes. log(N + 1e-9) and |x|^2 / width + 1e-6 remain.
FLOAT64_ERROR = {
    "reformer-pytorch": 1e-10,
    "reformer-pytorch-exact": 1e-7,
    "transformers": 1e-5,
}


@pytest.fixture(params=PEERS)
def name(request):
    pytest.importorskip(PACKAGES[request.param])
    return request.param


def random_inputs(seed, length, dtype=torch.float32, shape=(2, 3)):
    generator = torch.Generator().manual_seed(seed)
    qk, v, grad = (
        torch.randn(*shape, length, WIDTH, generator=generator).to(dtype) for _ in range(3)
    )
    return (3 * qk).requires_grad_(), v.requires_grad_(), grad


def random_buckets(seed, config, length, shape=(2, 3)):
    generator = torch.Generator().manual_seed(seed + 1000)
    return torch.randint(
        config.n_buckets(length), (*shape, config.n_rounds, length), generator=generator
    )


def ours_for(name, n_rounds, chunk_length):
    """Return our settings equal to the peer's, with the paper's two buckets a chunk.

    The hashes are given.
    """
    config = LSHConfig(n_rounds=n_rounds, chunk_length=chunk_length)
    return replace(equal_config(name, config, WIDTH), bucket_size=chunk_length // 2)


def windows_agree(name, buckets, config):
    """Tell for each position, (B, H, L), whether no window of it is a first chunk's.

    There the peers look back to the last chunk of the round before, ours to that of the same round.
    One round is the round before itself. With the bucket mask no key there counts: either it is of
    another round's bucket, or one bucket fills the round and the key stands after the query.
    """
    length = buckets.shape[-1]
    by_bucket_and_position = buckets * length + torch.arange(length)
    rank = by_bucket_and_position.argsort(dim=-1).argsort(dim=-1)
    in_first_chunk = (rank < config.m).any(dim=2)
    if config.within_bucket or config.n_rounds == 1 or length == config.m:
        return torch.ones_like(in_first_chunk)
    return ~in_first_chunk


def alone(buckets, config):
    """Tell for each position, (B, H, L), whether it sees nothing but itself in every round."""
    length = buckets.shape[-1]
    earlier = torch.ones(length, length, dtype=torch.bool).tril(-1)
    return ~(attended_sets(buckets, config) & earlier).any(dim=-1).any(dim=2)


def outputs_and_gradients(attend, qk, v, grad, counted):
    """Return those of the counted positions: nothing else gets an upstream gradient."""
    out = attend(qk, v)
    counted = counted.unsqueeze(-1)
    return out * counted, *torch.autograd.grad(out, (qk, v), grad * counted)


def assert_peer_equals_ours(name, config, buckets, inputs, counted, error):
    """Allow entries near zero to differ by a tenth of the error of the largest."""
    peer = peer_attention(name, config, seed=0)
    theirs = outputs_and_gradients(lambda q, v: peer(q, v, buckets), *inputs, counted)
    ours = outputs_and_gradients(
        lambda q, v: lsh_attention(q, v, config, buckets=buckets), *inputs, counted
    )
    for what, got, expected in zip(("out", "dqk", "dv"), theirs, ours, strict=True):
        torch.testing.assert_close(
            got,
            expected,
            rtol=error,
            atol=0.1 * error * float(expected.detach().abs().max()),
            msg=lambda m, w=what: f"{name}, {w}: {m}",
        )


@pytest.mark.parametrize("n_rounds", [1, 2, 4])
@pytest.mark.parametrize(
    ("length", "chunk_length"), [(256, 16), (256, 32), (256, 64), (512, 32), (512, 64), (128, 64)]
)
def test_equals_ours(name, length, chunk_length, n_rounds):
    config = ours_for(name, n_rounds, chunk_length)
    for seed in range(3):
        buckets = random_buckets(seed, config, length)
        counted = windows_agree(name, buckets, config) & ~alone(buckets, config)
        assert counted.float().mean() > (0.5 if length // chunk_length >= 8 else 0.05)
        assert_peer_equals_ours(
            name, config, buckets, random_inputs(seed, length), counted, error=1e-4
        )


@pytest.mark.parametrize("n_rounds", [1, 2, 4])
def test_equals_ours_in_float64_where_positions_are_alone_too(name, n_rounds):
    config = ours_for(name, n_rounds, 32)
    for seed in range(3):
        buckets = random_buckets(seed, config, 256)
        inputs = random_inputs(seed, 256, torch.float64)
        counted = windows_agree(name, buckets, config)
        assert (counted & alone(buckets, config)).any()
        assert_peer_equals_ours(name, config, buckets, inputs, counted, FLOAT64_ERROR[name])


@pytest.mark.parametrize("n_rounds", [2, 4, 8])
def test_a_position_alone_is_off_by_the_rounding_of_the_self_penalty(name, n_rounds):
    """Its output is its own value, times weights that sum to 1 only within that rounding."""
    config = ours_for(name, n_rounds, 16)
    qk, v, _ = random_inputs(4, 512)
    buckets = random_buckets(4, config, 512)
    chosen = windows_agree(name, buckets, config) & alone(buckets, config)
    assert chosen.any()
    theirs = peer_attention(name, config, seed=0)(qk, v, buckets)[chosen]
    ours = lsh_attention(qk, v, config, buckets=buckets)[chosen]
    torch.testing.assert_close(ours, v[chosen], rtol=1e-5, atol=1e-6)
    error = ((theirs - v[chosen]).norm(dim=-1) / v[chosen].norm(dim=-1)).max()
    assert 1e-4 < error < 1.01 * ALONE_ERROR[name]


@pytest.mark.parametrize("peer", ["reformer-pytorch", "transformers"])
@pytest.mark.parametrize("n_rounds", [2, 4])
def test_in_bfloat16_a_position_alone_counts_once_a_round(peer, n_rounds):
    """What ours does not do: see peer_attention."""
    pytest.importorskip(PACKAGES[peer])
    config = ours_for(peer, n_rounds, 16)
    qk, v, _ = random_inputs(4, 512, torch.bfloat16)
    buckets = random_buckets(4, config, 512)
    chosen = windows_agree(peer, buckets, config) & alone(buckets, config)
    assert chosen.any()
    theirs = peer_attention(peer, config, seed=0)(qk, v, buckets)[chosen]
    ours = lsh_attention(qk, v, config, buckets=buckets)[chosen]
    torch.testing.assert_close(ours, v[chosen])
    torch.testing.assert_close(theirs, n_rounds * v[chosen])


@pytest.mark.parametrize("n_chunks", [2, 4])
def test_equals_ours_when_one_bucket_fills_the_round(name, n_chunks):
    """The first chunk and the last share a bucket, and a look-back around the edge would count."""
    config = ours_for(name, 2, 32)
    length = 32 * n_chunks
    buckets = random_buckets(5, config, length)
    buckets[:, :, 1] = 1
    counted = windows_agree(name, buckets, config) & ~alone(buckets, config)
    assert counted.any()
    assert_peer_equals_ours(name, config, buckets, random_inputs(5, length), counted, error=1e-4)


def test_first_chunks_differ_as_stated():
    """What the comparison leaves out would not agree: nothing is hidden there."""
    pytest.importorskip("transformers")
    config = ours_for("transformers", 4, 32)
    qk, v, _ = random_inputs(6, 256)
    buckets = random_buckets(6, config, 256)
    left_out = ~windows_agree("transformers", buckets, config)
    theirs = peer_attention("transformers", config, seed=0)(qk, v, buckets)
    ours = lsh_attention(qk, v, config, buckets=buckets)
    differs = (theirs - ours).abs().amax(dim=-1)[left_out] > 1e-3
    assert differs.float().mean() > 0.9


def test_transformers_with_a_single_chunk():
    """With a single chunk it attends to everything, without rounds."""
    pytest.importorskip("transformers")
    config = ours_for("transformers", 2, 64)
    buckets = random_buckets(7, config, 64)
    counted = ~alone(buckets, config)
    inputs = random_inputs(7, 64)
    assert_peer_equals_ours("transformers", config, buckets, inputs, counted, error=1e-4)


def test_given_buckets_are_used(name):
    config = ours_for(name, 2, 32)
    qk, v, _ = random_inputs(8, 256)
    attend = peer_attention(name, config, seed=0)
    first, second = (random_buckets(seed, config, 256) for seed in (8, 9))
    assert torch.equal(attend(qk, v, first), attend(qk, v, first.int()))
    assert not torch.allclose(attend(qk, v, first), attend(qk, v, second))
    assert not torch.allclose(attend(qk, v, first), attend(qk, v))
    with pytest.raises(ValueError, match="not integers"):
        attend(qk, v, first.float())
    with pytest.raises(ValueError, match="not integers"):
        attend(qk, v, first[:, :, :1])


def test_the_seed_decides_the_hashes_and_the_global_generator_stays(name):
    config = ours_for(name, 2, 32)
    qk, v, grad = random_inputs(10, 256)
    state = torch.get_rng_state()
    one, again, other = (peer_attention(name, config, seed=seed) for seed in (1, 1, 2))
    out = one(qk, v)
    out.backward(grad)
    assert torch.equal(out, again(qk, v))
    assert torch.equal(one(qk, v), again(qk, v))
    assert not torch.allclose(out, one(qk, v))
    assert not torch.allclose(out, other(qk, v))
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(5)
    torch.testing.assert_close(peer_attention(name, config, seed=1)(qk, v), out, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"bucket_size": 8, "chunk_length": 32}, 32),
        ({"bucket_size": 2}, [8, 16]),
        ({"bucket_size": 2, "factorize_hash": False}, 128),
        ({"bucket_size": 256, "chunk_length": 32}, 2),
    ],
)
def test_number_of_buckets_of_transformers(settings, expected, monkeypatch):
    modelling = pytest.importorskip("transformers.models.reformer.modeling_reformer")
    seen = []
    own = modelling.LSHSelfAttention._hash_vectors

    def record(self, vectors, *args):
        buckets = own(self, vectors, *args)
        seen.append((self.num_buckets, int(buckets.max())))
        return buckets

    monkeypatch.setattr(modelling.LSHSelfAttention, "_hash_vectors", record)
    qk, v, _ = random_inputs(11, 256)
    config = LSHConfig(n_rounds=1, **settings)
    peer_attention("transformers", config, seed=0)(qk, v)
    (n_buckets, last), *_ = seen
    assert n_buckets == expected
    assert config.n_buckets(256) * 0.8 <= last + 1 <= max(2, config.n_buckets(256))


@pytest.mark.parametrize("name", [name for name in PEERS if name.startswith("reformer-pytorch")])
def test_number_of_buckets_of_reformer_pytorch(name, monkeypatch):
    peer = pytest.importorskip("reformer_pytorch.reformer_pytorch")
    seen = []
    own = peer.LSHAttention.hash_vectors
    monkeypatch.setattr(
        peer.LSHAttention,
        "hash_vectors",
        lambda self, n_buckets, *args, **kwargs: (
            seen.append(n_buckets) or own(self, n_buckets, *args, **kwargs)
        ),
    )
    qk, v, _ = random_inputs(11, 256)
    config = LSHConfig(bucket_size=8)
    peer_attention(name, config, seed=0)(qk, v)
    # one hash for each piece of the call, of which there are as many as heads
    assert seen == 3 * [256 // 16] == 3 * [equal_config(name, config, WIDTH).n_buckets(256)]


def test_every_peer_says_where_it_differs():
    assert set(DIFFERENCES) == set(PEERS)
