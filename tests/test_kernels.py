"""The kernels hold at the ends of what is asked and in between, and the right one runs."""

import importlib.util
import sysconfig
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from attention_oracle import (
    assert_near,
    in_float64,
    kernel_params,
    of_kernel,
    of_reference,
    random_inputs,
    skewed_buckets,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from reformer import LSHConfig, Reformer, ReformerConfig, lsh_attention
from reformer.kernels import (
    FASTEST,
    KERNELS,
    fallback,
    flex,
    native,
    pick,
    torch_compile,
    triton,
)

QUICK = kernel_params("plain", "blocked", "native")
CUDA = SimpleNamespace(device=torch.device("cuda"))


def check(config, kernel, shape, seed):
    inputs = random_inputs(seed, shape)
    buckets = skewed_buckets(seed, config, shape[:3])
    assert_near(of_kernel(kernel, config, buckets, inputs), of_reference(config, buckets, inputs))


MIDDLE = LSHConfig(n_rounds=2, bucket_size=16, chunk_length=32)
ENDS = {
    "width 16": (MIDDLE, (1, 2, 128, 16)),
    "width 128": (MIDDLE, (1, 2, 128, 128)),
    "chunk 16": (replace(MIDDLE, chunk_length=16), (1, 2, 128, 16)),
    "chunk 256": (replace(MIDDLE, chunk_length=256), (1, 1, 768, 16)),
    "1 round": (replace(MIDDLE, n_rounds=1), (1, 2, 128, 16)),
    "16 rounds": (replace(MIDDLE, n_rounds=16), (1, 1, 128, 16)),
    "batch 3, 5 heads": (MIDDLE, (3, 5, 96, 16)),
    "1 chunk": (MIDDLE, (2, 2, 32, 16)),
    "2 chunks": (MIDDLE, (2, 2, 64, 16)),
    "3 chunks": (MIDDLE, (2, 2, 96, 16)),
    "1 position": (replace(MIDDLE, chunk_length=1), (2, 2, 1, 16)),
    "6 rounds of chunk 256": (
        LSHConfig(n_rounds=6, bucket_size=64, chunk_length=256),
        (1, 1, 768, 16),
    ),
}


@pytest.mark.parametrize("kernel", QUICK)
@pytest.mark.parametrize("end", ENDS)
def test_equals_reference_at_the_ends(kernel, end):
    check(ENDS[end][0], kernel, ENDS[end][1], seed=1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kernel", ["plain", "blocked", "compiled", "flex", "triton"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 3e-2)], ids=str
)
def test_near_the_reference_on_cuda(kernel, end, dtype, tolerance):
    """The relative error of the whole tensor is taken against float64 on the CPU.

    The gradient of a position alone is 0, but for the reference's penalty.
    """
    config, shape = ENDS[end]
    inputs = random_inputs(1, shape)
    buckets = skewed_buckets(1, config, shape[:3])
    given = [x.detach().to("cuda", dtype) for x in inputs]
    given[0].requires_grad_(), given[1].requires_grad_()
    expected = of_reference(config, buckets, in_float64([x.cpu() for x in given]))
    found = of_kernel(kernel, config, buckets.cuda(), given)
    for got, exact in zip(found, expected, strict=True):
        assert got.isfinite().all()
        assert (got.double().cpu() - exact).norm() <= tolerance * exact.norm() + 1e-9


@st.composite
def cases(draw):
    config = LSHConfig(
        n_rounds=draw(st.integers(1, 5)),
        bucket_size=draw(st.sampled_from([1, 4, 24])),
        chunk_length=draw(st.sampled_from([1, 2, 6, 7, 16, 33])),
        chunks_before=draw(st.integers(0, 4)),
        causal=draw(st.booleans()),
        within_bucket=draw(st.booleans()),
        correct_duplicates=draw(st.booleans()),
        logit_scale=draw(st.sampled_from([0.3, 1.0])),
    )
    shape = [draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 12)) * config.m]
    return config, (*shape, draw(st.integers(1, 20)))


@pytest.mark.parametrize("kernel", QUICK)
@settings(max_examples=40, derandomize=True, deadline=None, database=None)
@given(case=cases(), seed=st.integers(0, 1000))
def test_equals_reference_for_any_config(kernel, case, seed):
    check(case[0], kernel, case[1], seed)


@pytest.fixture(autouse=True)
def asked_anew():
    """What a test makes of the machine is asked after it, and by no later test."""
    yield triton.unavailable.cache_clear()
    triton.unavailable.cache_clear()


@pytest.fixture
def without(monkeypatch):
    """Make this machine one without a compiler, without Python's headers, or without Triton."""

    def remove(what):
        find_spec, include = importlib.util.find_spec, sysconfig.get_path
        if what == "compiler":
            monkeypatch.setenv("CXX", "no-such-compiler")
        if what == "headers":
            monkeypatch.setattr(sysconfig, "get_path", lambda _: include("scripts"))
        if what == "triton":
            monkeypatch.setattr(
                importlib.util, "find_spec", lambda n: None if n == "triton" else find_spec(n)
            )

    return remove


@pytest.mark.parametrize(
    ("what", "like", "reason"),
    [
        ("compiler", torch.zeros(1), "no compiler no-such-compiler was found; set CXX"),
        ("headers", torch.zeros(1), "Python.h"),
        ("triton", CUDA, "triton is not installed"),
        ("", torch.zeros(1, device="meta"), "no code generator for meta"),
    ],
)
def test_compiled_without_a_compiler_says_what_is_legal(without, what, like, reason):
    without(what)
    with pytest.raises(ValueError, match=f'"compiled" needs torch.compile.*{reason}.*"blocked"'):
        pick("compiled", like)


def test_compiled_is_refused_before_it_is_run(without):
    without("compiler")
    x = torch.zeros(1, 1, 16, 4)
    with pytest.raises(ValueError, match='use "blocked"'):
        lsh_attention(x, x, LSHConfig(chunk_length=16), kernel="compiled")


def test_auto_is_what_is_fastest_on_the_device(without, monkeypatch):
    assert pick("auto", torch.zeros(1)) == ("blocked" if native.unavailable() else "native")
    assert pick("auto", torch.zeros(1, device="meta")) == "blocked"
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: object() if n == "triton" else find_spec(n)
    )
    assert pick("auto", CUDA) == "triton"
    triton.unavailable.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "an old one")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert pick("auto", CUDA) == "compiled"
    assert "older than compute capability 8.0" in fallback(CUDA)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (6, 1))
    assert pick("auto", CUDA) == "blocked"
    assert "an old one is older" in torch_compile.unavailable(CUDA.device)
    without("triton")
    triton.unavailable.cache_clear()
    assert pick("auto", CUDA) == "blocked"
    assert fallback(CUDA) == "triton is not installed"


@pytest.mark.parametrize(
    ("d_model", "dtype", "name"),
    [
        (64, torch.float32, "triton"),
        (256, torch.float32, "blocked"),
        (64, torch.float64, "blocked"),
    ],
)
def test_a_model_names_the_kernel_that_its_heads_get(monkeypatch, d_model, dtype, name):
    monkeypatch.setitem(FASTEST, "cpu", ["triton"])
    monkeypatch.setattr(triton, "unavailable", lambda _: "")
    config = ReformerConfig(vocabulary=7, length=16, d_model=d_model, n_heads=1, n_layers=1)
    assert Reformer(config).to(dtype).kernel == name


def test_flex_says_where_it_runs(without):
    without("triton")
    with pytest.raises(ValueError, match="triton is not installed; use"):
        pick("flex", CUDA)
    with pytest.raises(ValueError, match='"flex" runs on cuda or cpu, not meta; use "plain"'):
        pick("flex", torch.zeros(1, device="meta"))


@pytest.mark.parametrize(("dtype", "width"), [(torch.float64, 64), (torch.float32, 8)])
def test_flex_on_cuda_says_for_what_it_has_no_kernel(monkeypatch, dtype, width):
    monkeypatch.setattr(flex, "require_compiler", lambda *_: None)
    like = SimpleNamespace(device=CUDA.device, dtype=dtype, shape=(1, 1, 64, width))
    with pytest.raises(ValueError, match=f"not {dtype} of width {width}"):
        flex.attend(like, None, None, None)


@pytest.mark.parametrize("name", KERNELS)
def test_a_misspelt_kernel_is_named(name):
    with pytest.raises(ValueError, match=f"did you mean '{name}'"):
        pick(name + "x", torch.zeros(1))
