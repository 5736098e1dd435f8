"""PyTorch's defaults and modes around construction and calls change what they should, no more."""

import subprocess
import sys
from contextlib import contextmanager, nullcontext

import pytest
import torch
from attention_oracle import kernel_params, outputs_and_gradients, random_inputs
from source_files import ROOT
from torch._subclasses.fake_tensor import FakeTensorMode

from baselines import Dense, DenseConfig
from baselines.peers import peer_attention
from reformer import LSHConfig, Reformer, ReformerConfig, hash_buckets, lsh_attention
from reformer.kernels import flex

LSH = LSHConfig(n_rounds=2, bucket_size=8)
SIZES = {"vocabulary": 64, "length": 64, "d_model": 32, "d_ff": 48, "n_heads": 2, "n_layers": 2}
KERNELS = kernel_params("plain", "blocked", "native", "flex")
SMALL = (1, 2, 64, 8)
TOKENS = torch.randint(64, (2, 64), generator=torch.Generator().manual_seed(0))
MODELS = {
    "reformer": lambda: Reformer(ReformerConfig(**SIZES, attention=LSH)),
    "axial, in pieces, with dropout": lambda: Reformer(
        ReformerConfig(
            **SIZES, attention=LSH, axial_positions=(8, 8), ff_chunks=2, loss_chunks=2, dropout=0.1
        )
    ),
    "not reversible": lambda: Reformer(ReformerConfig(**SIZES, attention=LSH, reversible=False)),
    "full shared-QK attention": lambda: Reformer(ReformerConfig(**SIZES, attention="dense")),
    "dense": lambda: Dense(DenseConfig(**SIZES)),
    "memory-efficient": lambda: Dense(DenseConfig(**SIZES, attention="memory_efficient")),
    "naive, reversible": lambda: Dense(DenseConfig(**SIZES, attention="naive", reversible=True)),
}


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


@contextmanager
def default_device(name):
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


# What must change nothing at all
AROUND = {
    "meta by default": lambda: default_device("meta"),
    "cpu by default": lambda: default_device("cpu"),
    "within meta": lambda: torch.device("meta"),
    "float64 by default": lambda: default_dtype(torch.float64),
    "bfloat16 by default": lambda: default_dtype(torch.bfloat16),
    "deterministic": deterministic,
}
around = pytest.mark.parametrize("name", AROUND)


def training(model):
    loss = model.loss(TOKENS, TOKENS)
    loss.backward()
    return [loss.detach().float(), *(p.grad for p in model.parameters())]


@around
@pytest.mark.parametrize("kernel", [*KERNELS, *kernel_params("triton")])
def test_attention_is_the_same_within(name, kernel):
    def attend(qk, v):
        return lsh_attention(qk, v, LSH, generator=seeded(), kernel=kernel)

    for dtype in (torch.float32, torch.float64)[: 1 if kernel == "triton" else 2]:
        inputs = random_inputs(1, SMALL, dtype)
        expected = outputs_and_gradients(attend, *inputs)
        with AROUND[name]():
            found = outputs_and_gradients(attend, *inputs)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@around
def test_hashes_are_the_same_within(name):
    vectors, *_ = random_inputs(2, SMALL, torch.float32)
    torch.manual_seed(3)
    expected = hash_buckets(vectors, n_buckets=256, n_rounds=3)
    torch.manual_seed(3)
    with AROUND[name]():
        found = hash_buckets(vectors, n_buckets=256, n_rounds=3)
    assert torch.equal(found, expected)


@around
@pytest.mark.parametrize("model", MODELS)
def test_a_model_called_within_does_the_same(name, model):
    expected = training(MODELS[model]())
    one = MODELS[model]()
    with AROUND[name]():
        found = training(one)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    logits = one.eval()(TOKENS)
    with AROUND[name](), torch.inference_mode():
        torch.testing.assert_close(one(TOKENS), logits, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["cpu by default", "deterministic"])
@pytest.mark.parametrize("model", MODELS)
def test_a_model_made_within_is_the_same(name, model):
    expected = MODELS[model]().state_dict()
    for grad_mode in (nullcontext, torch.no_grad, torch.inference_mode):
        with AROUND[name](), grad_mode():
            found = MODELS[model]().state_dict()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("model", MODELS)
def test_a_model_made_under_another_dtype_is_of_it_and_has_the_same_weights(dtype, model):
    expected = MODELS[model]().to(dtype).eval()
    with default_dtype(dtype):
        found = MODELS[model]().eval()
    assert {p.dtype for p in found.parameters()} == {dtype}
    for a, b in zip(found.parameters(), expected.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(found(TOKENS), expected(TOKENS))
    assert found(TOKENS).dtype == dtype


@pytest.mark.parametrize("context", [lambda: default_device("meta"), lambda: torch.device("meta")])
@pytest.mark.parametrize("model", MODELS)
def test_a_model_made_on_meta_has_shapes_only_and_can_be_filled(context, model):
    with context():
        found = MODELS[model]()
        logits = found(torch.zeros(2, 64, dtype=torch.long))
    assert {p.device.type for p in found.parameters()} == {"meta"}
    assert (logits.device.type, logits.shape) == ("meta", (2, 64, 64))
    on_meta = TOKENS.to("meta")
    loss = found.loss(on_meta, on_meta)
    loss.backward()
    assert all(p.grad.shape == p.shape for p in found.parameters())
    made = MODELS[model]()
    found = found.to_empty(device="cpu")
    found.load_state_dict(made.state_dict())
    found.generator.manual_seed(0)  # the calls above drew seeds too
    torch.testing.assert_close(training(found)[0], training(MODELS[model]())[0], rtol=0, atol=0)


@pytest.mark.parametrize("kernel", ["plain", "blocked"])
def test_attention_of_meta_tensors_has_a_shape(kernel):
    qk, v = (torch.zeros(SMALL, device="meta", requires_grad=True) for _ in range(2))
    out = lsh_attention(qk, v, LSH, kernel=kernel)
    out.sum().backward()
    assert (out.shape, qk.grad.shape, out.device.type) == (SMALL, SMALL, "meta")


# Inference mode leaves nothing behind


@pytest.mark.parametrize("kernel", KERNELS)
def test_training_works_after_inference(kernel):
    # a length of its own, of which no other test has filled a cache
    qk, v, grad = random_inputs(3, (1, 2, 176, 8))
    expected = outputs_and_gradients(
        lambda q, v: lsh_attention(q, v, LSH, generator=seeded(), kernel="plain"), qk, v, grad
    )
    with torch.inference_mode():
        first = lsh_attention(qk, v, LSH, generator=seeded(), kernel=kernel)
    assert first.is_inference()
    found = outputs_and_gradients(
        lambda q, v: lsh_attention(q, v, LSH, generator=seeded(), kernel=kernel), qk, v, grad
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(first.clone(), expected[0].detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.slow
def test_training_works_after_inference_of_the_compiled_kernel():
    test_training_works_after_inference("compiled")


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_model_trains_after_inference(kernel):
    made = [Reformer(ReformerConfig(**SIZES, attention=LSH, kernel=kernel)) for _ in range(2)]
    with torch.inference_mode():
        made[0].eval()(TOKENS[:, :48])
    torch.testing.assert_close(*(training(model.train()) for model in made), rtol=0, atol=0)


def test_a_refused_call_with_fake_tensors_leaves_no_fake_cache():
    qk, v, _ = random_inputs(4, (1, 1, 208, 4))
    with FakeTensorMode(allow_non_fake_inputs=True), pytest.raises(ValueError, match="memory"):
        lsh_attention(qk, v, LSH, kernel="flex")
    lsh_attention(qk, v, LSH, kernel="flex").sum().backward()
    lists = flex.block_lists(208, LSH.m, 1, torch.device("cpu"))
    assert all(type(x) is torch.Tensor for x in lists.values() if x is not None)


def test_a_cached_peer_trains_after_inference():
    pytest.importorskip("transformers")
    attend = peer_attention("transformers", LSH, seed=1)
    qk, v, grad = random_inputs(5, (1, 2, 64, 8), torch.float32)
    with torch.inference_mode(), torch.device("meta"):
        attend(qk, v)
    assert all(x.isfinite().all() for x in outputs_and_gradients(attend, qk, v, grad))


def test_importing_and_running_us_does_not_import_the_compiler():
    """It costs 1.2 s and memory, which the benchmarks would measure."""
    program = (
        "import sys, torch\n"
        "from reformer import LSHConfig, lsh_attention\n"
        "x = torch.zeros(1, 1, 64, 8)\n"
        "lsh_attention(x, x, LSHConfig(bucket_size=8))\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
