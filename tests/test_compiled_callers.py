"""Whoever calls us from torch.compile gets the eager result."""

import pytest
import torch
from attention_oracle import kernel_params, outputs_and_gradients, random_inputs

from baselines import Dense, DenseConfig
from baselines.peers import peer_attention, peer_model
from reformer import LSHConfig, Reformer, ReformerConfig, hash_buckets, lsh_attention
from reformer.kernels import native
from reformer.rounds import attend_rounds, hash_and_sort

pytestmark = [
    # of PyTorch itself: what it imports to compile, and what it asks a tensor after a graph break
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
]
LSH = LSHConfig(n_rounds=2, bucket_size=8)
SIZES = {"vocabulary": 64, "length": 64, "d_model": 32, "d_ff": 48, "n_heads": 2, "n_layers": 2}
TOKENS = torch.randint(64, (2, 64), generator=torch.Generator().manual_seed(0))
KERNELS = kernel_params("plain", "blocked", "native", "flex")
SMALL = (1, 2, 64, 8)
needs_native = pytest.mark.skipif(bool(native.unavailable()), reason=native.unavailable())


@pytest.fixture(autouse=True)
def forget_compiled():
    """Forget what Dynamo compiled, so that no test finds the graphs of another."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def reformer(**changes):
    return Reformer(ReformerConfig(**SIZES, **{"attention": LSH} | changes))


def dense(**changes):
    return Dense(DenseConfig(**SIZES, **changes))


def compiled(function, **options):
    return torch.compile(function, **{"backend": "eager"} | options)


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


MODELS = {
    "reformer": reformer,
    "not reversible": lambda: reformer(reversible=False),
    "in pieces, with dropout": lambda: reformer(
        ff_chunks=2, loss_chunks=2, dropout=0.2, axial_positions=(8, 8)
    ),
    "full shared-QK attention": lambda: reformer(attention="dense"),
    "plain": lambda: reformer(kernel="plain"),
    "dense": dense,
    "dense, naive, reversible": lambda: dense(attention="naive", reversible=True, dropout=0.2),
    "dense, memory-efficient": lambda: dense(attention="memory_efficient", shared_qk=True),
}


def step(loss, model):
    """Return the loss of two training steps, which draw different hashes, and all gradients."""
    losses = [loss(TOKENS, TOKENS) for _ in range(2)]
    for one in losses:
        one.backward()
    return [*(x.detach() for x in losses), *(p.grad for p in model.parameters())]


@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_model_gives_the_eager_logits(name):
    model = MODELS[name]().eval()
    expected = model(TOKENS)
    torch.testing.assert_close(compiled(model)(TOKENS), expected, rtol=0, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(compiled(model)(TOKENS), model(TOKENS), rtol=0, atol=0)


@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_training_step_draws_the_eager_hashes_and_gradients(name):
    eager, model = MODELS[name](), MODELS[name]()
    expected = step(eager.loss, eager)
    found = step(compiled(model.loss), model)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert (
        not torch.equal(expected[0], expected[1])
        or not isinstance(eager.config, ReformerConfig)
        or eager.config.attention == "dense"
    )


def test_a_compiled_function_around_the_loss_goes_on_after_it():
    eager, model = reformer(), reformer()

    def twice_the_loss(model):
        return lambda tokens, targets: model.loss(tokens, targets).mul(2).sin()

    expected = step(twice_the_loss(eager), eager)
    found = step(compiled(twice_the_loss(model)), model)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("part", ["layer", "attention", "feed_forward"])
@pytest.mark.parametrize("reversible", [True, False])
def test_parts_of_a_model_can_be_compiled_alone(part, reversible):
    eager, model = (reformer(reversible=reversible, dropout=0.1, ff_chunks=2) for _ in range(2))
    for layer in model.layers:
        chosen = layer if part == "layer" else getattr(layer, part)
        chosen.compile(backend="eager")
    torch.testing.assert_close(step(model.loss, model), step(eager.loss, eager))


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_compiled_function_around_attention(kernel, dynamic):
    def attend(qk, v):
        return lsh_attention(qk * 1.5, v.sin(), LSH, generator=seeded(), kernel=kernel).cos()

    inputs = random_inputs(1, SMALL)
    expected = outputs_and_gradients(attend, *inputs)
    found = outputs_and_gradients(compiled(attend, dynamic=dynamic), *inputs)
    torch.testing.assert_close(found, expected)


def test_many_lengths_are_more_than_dynamo_compiles():
    """After 8 variants of a frame Dynamo leaves it to Python, but not what it calls."""
    attend = compiled(lambda qk, v: lsh_attention(qk * 2, v, LSH, generator=seeded()) * 2)
    for length in range(16, 16 * 13, 16):
        qk, v, _ = random_inputs(length, (1, 1, length, 4))
        expected = lsh_attention(qk * 2, v, LSH, generator=seeded()) * 2
        torch.testing.assert_close(attend(qk, v), expected)


def test_a_compiled_function_around_hashes_draws_from_the_generator_given():
    vectors, *_ = random_inputs(2, SMALL)

    def hashed(generator):
        return [
            hash_buckets(vectors * 2, n_buckets=8, n_rounds=2, generator=generator) + 1
            for _ in range(2)
        ]

    expected = hashed(seeded())
    assert all(map(torch.equal, compiled(hashed)(seeded()), expected))
    assert not torch.equal(*expected)
    torch.manual_seed(3)
    expected = hash_buckets(vectors, n_buckets=8, n_rounds=2)
    torch.manual_seed(3)
    assert torch.equal(compiled(hash_buckets)(vectors, n_buckets=8, n_rounds=2), expected)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_compiled_function_around_the_parts_of_attention(kernel):
    def attend(qk, v):
        rounds = hash_and_sort(qk.detach() * 2, LSH, generator=seeded(), kernel=kernel)
        return attend_rounds(qk.sin(), v, rounds, LSH, kernel) + 1

    inputs = random_inputs(3, SMALL)
    expected = outputs_and_gradients(attend, *inputs)
    torch.testing.assert_close(outputs_and_gradients(compiled(attend), *inputs), expected)


@pytest.mark.parametrize("peer", ["reformer-pytorch", "transformers"])
def test_a_compiled_peer_draws_the_same_hashes(peer):
    pytest.importorskip(peer.replace("-", "_"))
    qk, v, _ = random_inputs(8, SMALL, torch.float32)
    attend, again = (peer_attention(peer, LSH, seed=3) for _ in range(2))
    torch.testing.assert_close(compiled(attend)(qk, v), again(qk, v), rtol=0, atol=0)
    config = ReformerConfig(**SIZES | {"d_ff": 64}, attention=LSH)
    model, again = (peer_model(peer, config) for _ in range(2))
    for _ in range(2):
        torch.testing.assert_close(compiled(model)(TOKENS), again(TOKENS), rtol=0, atol=0)


@needs_native
def test_a_compiled_backward_pass_of_the_native_kernel():
    """Compiled autograd traces what backward functions do, with fake tensors."""
    qk, v, grad = random_inputs(4, SMALL)
    out = lsh_attention(qk, v, LSH, generator=seeded(), kernel="native")
    expected = torch.autograd.grad(out, (qk, v), grad)
    out = lsh_attention(qk, v, LSH, generator=seeded(), kernel="native")
    with torch._dynamo.compiled_autograd._enable(compiled):
        out.backward(grad)
    torch.testing.assert_close((qk.grad, v.grad), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reformer", "dense"])
def test_generated_code_around_us_gives_the_eager_result(name):
    eager, model = MODELS[name](), MODELS[name]()

    def twice_the_loss(model):
        return lambda tokens, targets: model.loss(tokens, targets).mul(2).sin()

    found = step(compiled(twice_the_loss(model), backend="inductor"), model)
    torch.testing.assert_close(found, step(twice_the_loss(eager), eager))


@pytest.mark.slow
def test_our_own_compiled_kernel_within_a_compiled_caller():
    def attend(qk, v):
        return lsh_attention(qk * 2, v, LSH, generator=seeded(), kernel="compiled") * 2

    inputs = random_inputs(5, SMALL)
    expected = outputs_and_gradients(attend, *inputs)
    torch.testing.assert_close(outputs_and_gradients(compiled(attend), *inputs), expected)
