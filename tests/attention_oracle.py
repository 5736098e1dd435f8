"""The tests of attention share inputs, hashes and the comparison with the paper's equations.

They also share the kernels as parameters, which are skipped, with the reason, where one cannot run.
"""

import pytest
import torch

from reformer import lsh_attention
from reformer.kernels import native, torch_compile, triton
from reformer.reference import reference_attention

CPU = torch.device("cpu")


def kernel_params(*names):
    """Make parameters for tests of these kernels.

    A call of flex or compiled costs seconds.
    """
    return [kernel_param(name) for name in names]


def kernel_param(name, *more):
    """Make one such parameter, with the values of those that come after it."""
    reason = {"native": native.unavailable, "compiled": lambda: torch_compile.unavailable(CPU)}
    reason["triton"] = lambda: triton.unavailable(CPU)
    why = reason[name]() if name in reason else ""
    marks = [pytest.mark.skipif(bool(why), reason=f"{name}: {why}")]
    if name == "compiled":
        marks.append(pytest.mark.slow)  # 10 s for each new combination of shapes and switches
    if name == "triton":  # its interpreter computes with numpy, which warns of what is not finite
        marks.append(pytest.mark.filterwarnings("ignore::RuntimeWarning"))
    return pytest.param(name, *more, marks=marks)


def random_inputs(seed, shape=(2, 3, 64, 8), dtype=torch.float64, spread=3.0):
    """Draw qk, v and the gradient of the output."""
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3)]
    qk, v, grad = (spread * draw[0]).to(dtype), draw[1].to(dtype), draw[2].to(dtype)
    return qk.requires_grad_(), v.requires_grad_(), grad


def random_buckets(seed, config, shape=(2, 3, 64)):
    generator = torch.Generator().manual_seed(seed + 1000)
    B, H, L = shape
    return torch.randint(config.n_buckets(L), (B, H, config.n_rounds, L), generator=generator)


def skewed_buckets(seed, config, shape):
    """Draw buckets of very different sizes, as real hashes have them: empty ones, and long ones."""
    generator = torch.Generator().manual_seed(seed)
    B, H, L = shape
    uniform = torch.rand(B, H, config.n_rounds, L, generator=generator)
    return (uniform.pow(3) * config.n_buckets(L)).long()


def outputs_and_gradients(attend, qk, v, grad):
    out = attend(qk, v)
    return out, *torch.autograd.grad(out, (qk, v), grad)


def of_kernel(name, config, buckets, inputs):
    return outputs_and_gradients(
        lambda q, v: lsh_attention(q, v, config, buckets=buckets, kernel=name), *inputs
    )


def of_reference(config, buckets, inputs):
    return outputs_and_gradients(lambda q, v: reference_attention(q, v, buckets, config), *inputs)


def in_float64(inputs):
    qk, v, grad = (x.detach().double() for x in inputs)
    return qk.requires_grad_(), v.requires_grad_(), grad


def assert_equal_to_reference(config, name, seed, shape=(2, 3, 64, 8), buckets=None):
    inputs = random_inputs(seed, shape)
    if buckets is None:
        buckets = random_buckets(seed, config, shape[:3])
    assert_near(of_kernel(name, config, buckets, inputs), of_reference(config, buckets, inputs))


def assert_near(found, expected):
    for what, got, exact in zip(("out", "dqk", "dv"), found, expected, strict=True):
        torch.testing.assert_close(
            got, exact, rtol=1e-10, atol=1e-10, msg=lambda m, n=what: f"{n}: {m}"
        )


def assert_float32_is_as_exact_as_the_reference(config, name, seed, shape, buckets):
    """Allow at most twice the error that the equations have in float32, both against float64."""
    exact = of_reference(config, buckets, random_inputs(seed, shape))
    single = random_inputs(seed, shape, torch.float32)
    ours = of_kernel(name, config, buckets, single)
    plain = of_reference(config, buckets, single)
    for got, reference, oracle in zip(ours, plain, exact, strict=True):
        assert (got - oracle).norm() <= 2 * (reference - oracle).norm()
