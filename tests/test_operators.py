"""A graph of torch.compile holds LSH attention, and gives what the eager call gives."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from attention_oracle import kernel_params, outputs_and_gradients, random_inputs
from torch.utils.checkpoint import checkpoint

from reformer import LSHConfig, lsh_attention
from reformer.kernels import KERNELS
from reformer.operators import IN_GRAPHS

# of PyTorch itself: what it imports to compile
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SMALL = (2, 2, 64, 8)
QUICK = kernel_params("blocked", "native")
CONFIGS = {
    "the paper's": LSHConfig(n_rounds=2, bucket_size=8),
    "every other setting": LSHConfig(
        n_rounds=3,
        bucket_size=4,
        chunk_length=16,
        chunks_before=0,
        causal=False,
        within_bucket=False,
        correct_duplicates=False,
        logit_scale=0.5,
        factorize_hash=False,
        rotation="normal",
    ),
    "local": LSHConfig(n_rounds=1, bucket_size=64, chunk_length=8),
    "one chunk": LSHConfig(n_rounds=2, bucket_size=32),
}
LSH = CONFIGS["the paper's"]


@pytest.fixture(autouse=True)
def forget_compiled():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(function, **options):
    return torch.compile(function, fullgraph=True, **{"backend": "aot_eager"} | options)


def drawn(config, kernel, n=1):
    """Make n eager calls with the hashes that a graph draws, one seed for each call."""
    seeds = [int(torch.randint(2**62, ())) for _ in range(n)]
    return [
        lambda qk, v, seed=seed: lsh_attention(
            *(qk, v, config), generator=torch.Generator().manual_seed(seed), kernel=kernel
        )
        for seed in seeds
    ]


@pytest.mark.parametrize("kernel", QUICK)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_whole_graph_gives_the_eager_result(name, kernel):
    config, inputs = CONFIGS[name], random_inputs(1, SMALL)
    torch.manual_seed(3)
    [attend] = drawn(config, kernel)
    expected = outputs_and_gradients(lambda q, v: attend(q * 1.5, v.sin()).cos(), *inputs)
    torch.manual_seed(3)
    held = compiled(lambda q, v: lsh_attention(q * 1.5, v.sin(), config, kernel=kernel).cos())
    torch.testing.assert_close(outputs_and_gradients(held, *inputs), expected)


def test_one_graph_after_another_takes_the_config_it_is_given():
    """From the second value on torch.compile holds numbers open, which no config can take."""
    held = compiled(lambda q, v, config: lsh_attention(q, v, config))
    some = [LSH, replace(LSH, n_rounds=3), replace(LSH, bucket_size=4, logit_scale=0.5)]
    for config, length in [*product(some, [64, 32]), (replace(LSH, logit_scale=2), 64)]:
        qk, v, _ = random_inputs(1, (2, 2, length, 8))
        torch.manual_seed(3)
        [attend] = drawn(config, "auto")
        expected = attend(qk, v)
        torch.manual_seed(3)
        torch.testing.assert_close(held(qk, v, config), expected)


@pytest.mark.parametrize("kernel", QUICK)
def test_every_call_draws_a_hash_of_its_own(kernel):
    inputs = random_inputs(2, SMALL)
    torch.manual_seed(4)
    one, two = drawn(LSH, kernel, 2)
    expected = outputs_and_gradients(lambda q, v: one(q, v) + 2 * two(q, v), *inputs)
    torch.manual_seed(4)

    @compiled
    def held(q, v):
        return sum(n * lsh_attention(q, v, LSH, kernel=kernel) for n in (1, 2))

    found = outputs_and_gradients(held, *inputs)
    torch.testing.assert_close(found, expected)
    again = held(*inputs[:2])
    assert (again - found[0]).abs().max() > 1e-3, "new hashes in the next call"


def test_what_is_computed_again_in_the_backward_pass_has_the_same_hash():
    inputs = random_inputs(5, SMALL)
    torch.manual_seed(6)
    [attend] = drawn(LSH, "auto")
    expected = outputs_and_gradients(attend, *inputs)
    torch.manual_seed(6)
    held = compiled(
        lambda q, v: checkpoint(lambda a, b: lsh_attention(a, b, LSH), q, v, use_reentrant=False)
    )
    torch.testing.assert_close(outputs_and_gradients(held, *inputs), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kernel", QUICK)
def test_the_operators_are_what_pytorch_asks_of_operators(kernel, dtype):
    """Their schemas, fake results, gradients and traces, as torch.library checks them."""
    words = ",".join(repr(getattr(LSH, name)) for name in LSHConfig.__slots__)
    qk, v, grad = random_inputs(7, SMALL, dtype)
    ops = torch.ops.reformer
    seed = torch.tensor(8)
    torch.library.opcheck(ops.hash_and_sort, (qk.detach(), seed, words, kernel))
    order, ends = ops.hash_and_sort(qk.detach(), seed, words, kernel)
    torch.library.opcheck(ops.attend, (qk, v, order, ends, words, kernel))
    laid_out_by_a_model = (x.detach().transpose(1, 2).contiguous().transpose(1, 2) for x in (qk, v))
    torch.library.opcheck(ops.attend, (*laid_out_by_a_model, order, ends, words, kernel))
    qk, v = qk.detach(), v.detach()
    out, z = ops.attend(qk, v, order, ends, words, kernel)
    torch.library.opcheck(ops.attend_backward, (grad, qk, v, out, z, order, ends, words, kernel))


def test_bfloat16_loses_no_more_in_a_graph():
    inputs = random_inputs(9, SMALL, torch.bfloat16)
    exact = [x.detach().double().requires_grad_(x.requires_grad) for x in inputs]
    torch.manual_seed(10)
    [attend] = drawn(LSH, "auto")
    in_graph = compiled(lambda q, v: lsh_attention(q, v, LSH))
    eager = outputs_and_gradients(attend, *inputs)
    torch.manual_seed(10)
    found = outputs_and_gradients(in_graph, *inputs)
    for one, other, expected in zip(
        found, eager, outputs_and_gradients(attend, *exact), strict=True
    ):
        error, allowed = ((x.double() - expected).norm() for x in (one, other))
        assert error <= 2 * allowed + 1e-3 * expected.norm()


def test_an_empty_batch_and_what_does_not_fit():
    held = compiled(lambda q, v: lsh_attention(q, v, LSH))
    qk, v, grad = random_inputs(11, (0, 2, 64, 8))
    for found in outputs_and_gradients(held, qk, v, grad):
        assert found.shape == qk.shape
    torch._dynamo.reset()
    odd = torch.zeros(1, 2, 40, 8)
    with pytest.raises(Exception, match="length 40 is not a multiple of chunk_length 16"):
        held(odd, odd)


def test_the_kernels_of_graphs_are_those_with_both_passes():
    assert {*IN_GRAPHS} - {"auto"} == {
        name for name, module in KERNELS.items() if hasattr(module, "passes")
    }


@pytest.mark.slow
@pytest.mark.parametrize("kernel", QUICK)
def test_generated_code_around_the_operators_gives_the_eager_result(kernel):
    """A model of the user's own, with its projections, in one graph."""
    project = torch.nn.Linear(8, 16).double()

    def call(attend, x):
        qk, v = project(x).chunk(2, dim=-1)
        return attend(qk, v).tanh()

    qk, _, grad = random_inputs(12, SMALL)
    # inductor draws seeds of its own: a single bucket asks for none
    config = CONFIGS["local"]
    eager = lambda q, v: lsh_attention(q, v, config, kernel=kernel)  # noqa: E731
    expected = call(eager, qk)
    expected = expected.detach(), *torch.autograd.grad(expected, (qk, project.weight), grad)
    found = compiled(lambda x: call(eager, x), backend="inductor")(qk)
    found = found.detach(), *torch.autograd.grad(found, (qk, project.weight), grad)
    torch.testing.assert_close(found, expected)


def test_forward_mode_is_refused_in_a_graph_too():
    """An operator sees no tangents: they would be zero."""
    qk, v, tangent = random_inputs(3, SMALL)

    def attend(x):
        return lsh_attention(x, v, LSH, kernel="blocked")

    def along(x, t):
        return torch.func.jvp(attend, (x,), (t,))[1]

    for fullgraph in (True, False):
        torch._dynamo.reset()
        with pytest.raises(RuntimeError, match="no derivative in forward mode"):
            torch.compile(along, backend="eager", fullgraph=fullgraph)(qk, tangent)
    whole = compiled(attend, backend="eager")
    whole(qk)  # a graph that is there already refuses them as well
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(qk, tangent)
        with pytest.raises(RuntimeError, match="no derivative in forward mode"):
            whole(dual)


@pytest.mark.parametrize("kernel", QUICK)
def test_a_second_derivative_of_a_graph_is_refused(kernel):
    qk, v, _ = random_inputs(3, SMALL)
    qk.requires_grad_()
    out = compiled(lambda x: lsh_attention(x, v, LSH, kernel=kernel), backend="eager")(qk)
    grad = torch.autograd.grad(out.square().sum(), qk, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="gradient of a gradient"):
        torch.autograd.grad(grad.square().sum(), qk)
