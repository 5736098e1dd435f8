"""The Triton kernel computes the paper's equations: on a GPU, or on the CPU in its interpreter.

The interpreter computes products of bfloat16 wrongly: that is tried on GPUs (test_kernels.py).
"""

from dataclasses import replace

import pytest
import torch
from attention_oracle import in_float64, of_kernel, of_reference, random_inputs, skewed_buckets

from reformer import LSHConfig, lsh_attention
from reformer.kernels import triton
from reformer.rounds import attend_rounds, hash_and_sort
from reformer.sorting import sort_rounds

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if ON_GPU else "cpu")
WHY_NOT = triton.unavailable(DEVICE)
pytestmark = [
    pytest.mark.skipif(bool(WHY_NOT), reason=f"triton: {WHY_NOT}"),
    *([pytest.mark.gpu] if ON_GPU else []),
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
    "chunk 64, whole tiles, around the edge": (
        LSHConfig(n_rounds=2, bucket_size=128, chunk_length=64, causal=False),
        (1, 1, 256, 16),
    ),
    "width 20, of no power of two": (MIDDLE, (1, 2, 64, 20)),
    "width 5, less than a tile": (MIDDLE, (1, 2, 64, 5)),
    "width 128": (MIDDLE, (1, 1, 64, 128)),
    "local": (LSHConfig(n_rounds=1, bucket_size=64, chunk_length=16), SHAPE),
}


def assert_near(found, exact, tolerance=2e-5):
    for got, expected in zip(found, exact, strict=True):
        assert got.isfinite().all()
        assert (got.double().cpu() - expected).norm() <= tolerance * expected.norm() + 1e-9


def on_device(inputs):
    """Move qk, v and the gradient of the output, and have gradients of the first two."""
    qk, v, grad = (x.detach().to(DEVICE) for x in inputs)
    return qk.requires_grad_(), v.requires_grad_(), grad


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float16, 5e-3)], ids=str
)
@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference(case, dtype, tolerance):
    """The second time with other numbers, by what was compiled and kept the first time."""
    config, shape = CASES[case]
    for seed in (2, 3):
        inputs = on_device(random_inputs(seed, shape, dtype))
        buckets = skewed_buckets(seed, config, shape[:3])
        exact = of_reference(config, buckets, in_float64([x.cpu() for x in inputs]))
        found = of_kernel("triton", config, buckets.to(DEVICE), inputs)
        assert_near(found, exact, tolerance)


@pytest.fixture
def attention(monkeypatch):
    """Return the module of the launches, all of which are prepared anew in this test."""
    from reformer.kernels.triton import attention, launch

    monkeypatch.setattr(launch, "_prepared", {})
    return attention


@pytest.fixture(params=["in runs", "tile by tile"])
def either_way(request, attention, monkeypatch):
    """Take either backward pass where a chunk is one tile, and check that it is taken."""
    taken = []

    def each_round(kernel, *given):
        taken.append(kernel.fn.__name__)
        launch_each(kernel, *given)

    launch_each = attention._each_round
    monkeypatch.setattr(attention, "_each_round", each_round)
    if request.param == "tile by tile":
        monkeypatch.setattr(attention, "in_runs", lambda *given: False)
    yield
    assert ("backward_run" if request.param == "in runs" else "backward_round") in taken


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("case", ["as in the paper", "not causal", "without bucket mask"])
def test_many_cells_take_64_bits(case, attention, monkeypatch):
    monkeypatch.setattr(attention, "MOST_CELLS", 1)
    config, shape = CASES[case]
    inputs = on_device(random_inputs(2, shape, torch.float32))
    buckets = skewed_buckets(2, config, shape[:3])
    exact = of_reference(config, buckets, in_float64([x.cpu() for x in inputs]))
    assert_near(of_kernel("triton", config, buckets.to(DEVICE), inputs), exact)


RUNS = ["as in the paper", "1 round", "not causal", "neither", "chunk 24, of no power of two"]


@pytest.mark.parametrize("chunks", [1, 2, 3])
@pytest.mark.parametrize("case", RUNS)
def test_runs_of_chunks_give_the_same_bits_however_long(case, chunks, attention, monkeypatch):
    """The last run is shorter, and its last chunk is looked back at from around the edge."""
    from reformer.kernels.triton import launch

    config, shape = CASES[case]
    inputs = on_device(random_inputs(2, shape, torch.float32))
    buckets = skewed_buckets(2, config, shape[:3]).to(DEVICE)
    found, lengths = [], [shape[2] // config.m, chunks]
    left = list(lengths)
    monkeypatch.setattr(attention, "chunks_of_run", lambda *sizes: left.pop(0))
    for _ in lengths:
        monkeypatch.setattr(launch, "_prepared", {})
        found.append(of_kernel("triton", config, buckets, inputs))
    assert not left, "it went in runs"
    assert all(torch.equal(*both) for both in zip(*found, strict=True))
    exact = of_reference(config, buckets.cpu(), in_float64([x.cpu() for x in inputs]))
    assert_near(found[1], exact)


@pytest.mark.parametrize("case", [*RUNS, "5 rounds", "width 20, of no power of two"])
def test_without_runs_each_tile_meets_its_own(case, attention, monkeypatch):
    """Two passes over the pairs, which wider rows and longer chunks take, say the same."""
    monkeypatch.setattr(attention, "in_runs", lambda *given: False)
    config, shape = CASES[case]
    inputs = on_device(random_inputs(2, shape, torch.float32))
    buckets = skewed_buckets(2, config, shape[:3])
    exact = of_reference(config, buckets, in_float64([x.cpu() for x in inputs]))
    assert_near(of_kernel("triton", config, buckets.to(DEVICE), inputs), exact)


@pytest.mark.parametrize(
    ("sequences", "chunks", "at_once", "expected"),
    [
        (4, 512, 264, 8),  # all 256 programs at once
        (16, 128, 264, 8),
        (1, 64, 264, 1),  # as many programs as there can be
        (4, 16384, 264, 25),  # ten times 264 programs, of 51 steps each
        (4, 3, 1, 3),  # no longer than a sequence
    ],
)
def test_runs_are_as_long_as_makes_all_programs_end_first(sequences, chunks, at_once, expected):
    from reformer.kernels.triton.attention import chunks_of_run

    assert chunks_of_run(sequences, chunks, at_once) == expected


def test_takes_views_as_a_model_makes_them_and_pieces_of_a_joint_projection():
    """Rows lie next to rows of other heads, and between those of other tensors."""
    B, H, L, W = SHAPE
    joint = torch.randn(B, L, 3, H, W).to(DEVICE)
    views = [joint[:, :, i].transpose(1, 2) for i in range(3)]
    buckets = skewed_buckets(3, MIDDLE, SHAPE[:3])
    exact = of_reference(MIDDLE, buckets, in_float64([x.cpu() for x in views]))
    given = [views[0].requires_grad_(), views[1].requires_grad_(), views[2].detach()]
    assert_near(of_kernel("triton", MIDDLE, buckets.to(DEVICE), given), exact)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("within_bucket", [True, False])
def test_padding_is_attended_to_by_nobody(within_bucket):
    """Of two lengths, which one compilation serves."""
    config = replace(MIDDLE, causal=False, within_bucket=within_bucket)
    for length in (53, 50):
        qk, v, grad = random_inputs(4, SHAPE, torch.float32)
        rounds = hash_and_sort(qk, config, valid_length=length, kernel="plain")
        q, w, g = in_float64([qk, v, grad])
        out = attend_rounds(q, w, rounds, config, "plain")
        exact = out, *torch.autograd.grad(out, (q, w), g)
        q, w, g = on_device([qk, v, grad])
        rounds = replace(
            rounds,
            order_BHRL=rounds.order_BHRL.to(DEVICE),
            ends_BHRN=rounds.ends_BHRN.to(DEVICE),
        )
        out = attend_rounds(q, w, rounds, config, "triton")
        found = out, *torch.autograd.grad(out, (q, w), g)
        assert_near([x[:, :, :length] for x in found], [x[:, :, :length] for x in exact])


def test_rounds_that_are_cut_otherwise_are_no_others():
    """Chunks and look-back are those of the sorted rounds, whatever was compiled before."""
    qk, v, _ = on_device(random_inputs(5, SHAPE, torch.float32))
    buckets = skewed_buckets(5, MIDDLE, SHAPE[:3]).to(DEVICE)
    for before in (1, 2, 1):
        config = replace(MIDDLE, chunks_before=before)
        rounds = sort_rounds(buckets, config.n_buckets(SHAPE[2]), config)
        found = attend_rounds(qk, v, rounds, MIDDLE, "triton")
        expected = attend_rounds(qk, v, rounds, MIDDLE, "blocked")
        assert_near([found], [expected.double().cpu()])


def test_what_is_not_finite_stays_where_it_is_attended_to():
    """In chunks of no power of two, of whose tiles some places are none, it spreads no further."""
    config, shape = CASES["chunk 24, of no power of two"]
    qk, v, _ = on_device(random_inputs(6, shape, torch.float32))
    buckets = skewed_buckets(6, config, shape[:3]).to(DEVICE)
    rounds = sort_rounds(buckets, config.n_buckets(shape[2]), config)
    v = v.detach().clone()
    v[:, :, 0] = torch.inf
    finite = [
        attend_rounds(qk, v, rounds, config, kernel).isfinite().all(dim=-1)
        for kernel in ("triton", "blocked")
    ]
    assert finite[1].any()
    assert (finite[0] | ~finite[1]).all()


@pytest.mark.parametrize("empty", [(0, 2, 64, 16), (2, 0, 64, 16)])
def test_a_batch_of_none_gives_none(empty):
    qk, v = (torch.randn(empty, device=DEVICE, requires_grad=True) for _ in range(2))
    out = lsh_attention(qk, v, MIDDLE, kernel="triton")
    assert out.shape == empty
    out.sum().backward()
    assert qk.grad.shape == empty


def test_the_same_input_gives_the_same_bits():
    inputs = on_device(random_inputs(7, SHAPE, torch.float32))
    buckets = skewed_buckets(7, MIDDLE, SHAPE[:3]).to(DEVICE)
    first, second = (of_kernel("triton", MIDDLE, buckets, inputs) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [((1, 1, 32, 16), torch.float64, "float64"), ((1, 1, 32, 160), torch.float32, "width 128")],
)
def test_what_it_cannot_take_is_refused_in_a_sentence(shape, dtype, said):
    qk, v = (torch.randn(shape, dtype=dtype, device=DEVICE) for _ in range(2))
    with pytest.raises(ValueError, match=f'kernel "triton" cannot run here: .*{said}.*"blocked"'):
        lsh_attention(qk, v, MIDDLE, kernel="triton")


def test_precision_follows_the_newer_setting_of_pytorch_too():
    from reformer.kernels.triton.attention import precision_of

    like, settings = torch.empty(1, 1, 1, 16), torch.backends.cuda.matmul
    assert precision_of(like.half()) == "ieee"
    assert precision_of(like) == "tf32x3"
    if hasattr(settings, "fp32_precision"):
        before = settings.fp32_precision
        try:
            settings.fp32_precision = "tf32"
            assert precision_of(like) == "tf32"
        finally:
            settings.fp32_precision = before
    assert precision_of(like) == "tf32x3"
