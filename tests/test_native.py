"""The C++ kernel is tested here where test_lsh_attention.py does not reach.

Sizes, threads, strides, dtypes, machines without a compiler, and the twins of hash and sort.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from attention_oracle import (
    assert_float32_is_as_exact_as_the_reference,
    assert_near,
    in_float64,
    of_kernel,
    of_reference,
    skewed_buckets,
)
from attention_oracle import random_inputs as draw

from reformer import LSHConfig, lsh_attention
from reformer.hashing import draw_rotations, rotate_to_buckets
from reformer.kernels import native, pick
from reformer.kernels.native import build
from reformer.reference import reference_attention
from reformer.rounds import attend_rounds
from reformer.sorting import sort_rounds

LIBRARY = "" if native.unavailable() else build.load()._name
pytestmark = pytest.mark.skipif(bool(native.unavailable()), reason=native.unavailable())


def check(config, shape, seed=0, oracle="reference"):
    inputs = draw(seed, shape)
    buckets = skewed_buckets(seed, config, shape[:3])
    if oracle == "reference":
        expected = of_reference(config, buckets, inputs)
    else:
        expected = of_kernel(oracle, config, buckets, inputs)
    assert_near(of_kernel("native", config, buckets, inputs), expected)


@pytest.mark.parametrize("width", [1, 3, 7, 16, 20, 24, 40, 64, 128])
def test_equals_reference_for_every_width(width):
    check(LSHConfig(n_rounds=2, bucket_size=8), (1, 2, 96, width), seed=width)


@pytest.mark.parametrize("chunk_length", [1, 5, 16, 64, 128, 256])
@pytest.mark.parametrize("within_bucket", [True, False])
def test_equals_reference_for_every_chunk_length(chunk_length, within_bucket):
    config = LSHConfig(
        n_rounds=2, bucket_size=32, chunk_length=chunk_length, within_bucket=within_bucket
    )
    check(config, (1, 1, 1280 // chunk_length * chunk_length, 8), seed=chunk_length)


@pytest.mark.parametrize("n_rounds", [9, 16])
def test_equals_reference_for_many_rounds(n_rounds):
    check(LSHConfig(n_rounds=n_rounds, bucket_size=8), (1, 1, 128, 16), seed=n_rounds)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("within_bucket", [True, False])
def test_a_long_list_is_cut_into_parts(causal, within_bucket):
    # 4,224 places are three parts of at most 2,048, and keys before a part's edge are another's
    config = LSHConfig(n_rounds=2, bucket_size=64, causal=causal, within_bucket=within_bucket)
    check(config, (1, 1, 4224, 8), oracle="blocked")


def test_one_chunk_longer_than_the_window_of_packed_keys():
    config = LSHConfig(n_rounds=1, bucket_size=8, chunk_length=900, within_bucket=False)
    check(config, (1, 1, 900, 8))


def at_threads(n_threads, config, buckets, inputs):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n_threads)
        return of_kernel("native", config, buckets, inputs)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("width", [64, 61])
def test_a_strided_list_that_has_outgrown_the_caches_is_attended_to_in_place(width):
    """A list of 8,448 positions takes 13 MB forward, more than the kernel grants a thread.

    Its rows lie apart, as a model's do.
    """
    config = LSHConfig(n_rounds=2, bucket_size=64)
    dense = draw(4, (1, 8448, 2, width))
    inputs = [x.detach().transpose(1, 2) for x in dense]
    inputs[0].requires_grad_(), inputs[1].requires_grad_()
    buckets = skewed_buckets(4, config, (1, 2, 8448))
    buckets[0, 0, :, 0] = 10_000  # alone
    on_one_thread = at_threads(1, config, buckets, inputs)
    on_five_threads = at_threads(5, config, buckets, inputs)
    assert all(torch.equal(a, b) for a, b in zip(on_one_thread, on_five_threads, strict=True))
    assert_near(on_one_thread, of_kernel("blocked", config, buckets, inputs))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_do_not_depend_on_the_number_of_threads(dtype):
    config = LSHConfig(n_rounds=3, bucket_size=32)
    inputs = draw(1, (1, 3, 6400, 16), dtype)
    buckets = skewed_buckets(1, config, (1, 3, 6400))
    found = [at_threads(n, config, buckets, inputs) for n in (1, 2, 5)]
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("within_bucket", [True, False])
def test_float32_error_at_real_sizes_is_at_most_twice_the_references(within_bucket):
    config = LSHConfig(n_rounds=4, bucket_size=64, chunk_length=64, within_bucket=within_bucket)
    shape = (1, 1, 768, 64)
    buckets = skewed_buckets(2, config, shape[:3])
    assert_float32_is_as_exact_as_the_reference(config, "native", 2, shape, buckets)


def test_a_models_layout_is_read_and_written_without_a_copy():
    config = LSHConfig(n_rounds=2, bucket_size=8)
    shape_BLHW = (2, 64, 3, 16)
    generator = torch.Generator().manual_seed(3)
    fused = torch.randn(2, 64, 2, 3, 16, generator=generator, dtype=torch.float64)
    qk, v = (fused[:, :, i].transpose(1, 2).detach().requires_grad_() for i in range(2))
    buckets = skewed_buckets(3, config, (2, 3, 64))
    out = lsh_attention(qk, v, config, buckets=buckets, kernel="native")
    assert out.transpose(1, 2).shape == shape_BLHW
    expected = reference_attention(qk, v, buckets, config)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    # the gradient of a sum is one number, expanded
    ours, oracle = (torch.autograd.grad(x.sum(), (qk, v)) for x in (out, expected))
    torch.testing.assert_close(ours, oracle, rtol=1e-10, atol=1e-10)
    dense = torch.randn(shape_BLHW, generator=generator).transpose(1, 2)
    out = lsh_attention(dense, dense, config, buckets=buckets, kernel="native")
    assert out.stride() == dense.stride()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(dtype):
    config = LSHConfig(n_rounds=2, bucket_size=16)
    shape = (1, 2, 256, 32)
    inputs = draw(4, shape, dtype)
    buckets = skewed_buckets(4, config, shape[:3])
    ours = of_kernel("native", config, buckets, inputs)
    oracle = of_reference(config, buckets, in_float64(inputs))
    for got, expected in zip(ours, oracle, strict=True):
        assert got.dtype == dtype
        error = (got.double() - expected).abs()
        rounding = expected.abs() * torch.finfo(dtype).eps / 2 + torch.finfo(dtype).tiny
        assert (error <= rounding + 1e-5 * expected.abs().max()).all()


def test_a_nan_is_seen():
    config = LSHConfig(n_rounds=2, bucket_size=8)
    qk, v, _ = draw(5, (1, 1, 64, 8))
    rounds = sort_rounds(torch.zeros(1, 1, 2, 64), 1, config)
    broken = qk.detach().clone()
    broken[..., 40, 3] = torch.nan
    out = attend_rounds(broken, v, rounds, config, "native")
    assert out[..., 40, :].isnan().all()
    assert not out[..., :40, :].isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factors", [(1,), (2,), (62,), (4, 6), (16, 32)])
def test_hash_equals_its_twin(factors, dtype):
    vectors = draw(6, (2, 2, 333, 24), dtype)[0].detach().transpose(0, 1)
    rotations = draw_rotations(24, factors, 3, torch.Generator().manual_seed(6))
    twin = rotate_to_buckets(vectors, rotations, 3)
    found = native.hash_to_buckets(vectors, rotations, 3)
    assert (found.dtype, found.shape) == (twin.dtype, twin.shape)
    # a bucket may differ only where two projections agree to rounding
    differ = (found != twin).sum()
    assert differ == 0 if dtype == torch.float64 else differ <= 2


@pytest.mark.parametrize("valid_length", [500, 333, 1])
def test_sort_equals_its_twin(valid_length):
    config = LSHConfig(n_rounds=3, bucket_size=10, chunk_length=20)
    buckets = skewed_buckets(7, config, (2, 3, 500))
    twin = sort_rounds(buckets, 64, config, valid_length)
    order, ends = native.sort_buckets(buckets, 64, valid_length)
    assert torch.equal(order, twin.order_BHRL)
    assert torch.equal(ends, twin.ends_BHRN)
    with pytest.raises(ValueError, match=r"buckets must be in \[0, 40\)"):
        native.sort_buckets(buckets, 40, valid_length=500)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """Empty the cache of compiled libraries; afterwards this process is as it was."""

    def forget():
        build.load.cache_clear()
        native.unavailable.cache_clear()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    ("compiler", "reason"), [("no-such-compiler", "no compiler"), ("false", "false failed")]
)
def test_without_a_compiler_auto_is_blocked(fresh, monkeypatch, compiler, reason):
    monkeypatch.setenv("CXX", compiler)
    x = torch.zeros(1, 1, 16, 4)
    assert pick("auto", x) == "blocked"
    assert reason in native.unavailable()
    with pytest.raises(ValueError, match=f'(?s){reason}.*use "blocked"'):
        lsh_attention(x, x, LSHConfig(chunk_length=16), kernel="native")
    assert not list(fresh.rglob("*.so"))


def test_without_any_folder_to_write_to_the_reason_says_so(fresh, monkeypatch):
    (fresh / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh / "file"))
    monkeypatch.setattr(build.tempfile, "tempdir", str(fresh / "file"))
    assert "cannot write" in native.unavailable()


def test_processes_that_compile_at_once_do_not_disturb_each_other(fresh):
    """The compiler is a slow copy of the compiled library: a torn one would not load."""
    library = fresh / "library.so"
    shutil.copy(LIBRARY, library)
    compiler = fresh / "compiler"
    compiler.write_text(
        f"""#!{sys.executable}
import pathlib, sys, time
if sys.argv[1] == "-dumpfullversion":
    sys.exit()
whole = pathlib.Path({str(library)!r}).read_bytes()
with open(sys.argv[sys.argv.index("-o") + 1], "wb") as out:
    out.write(whole[:5000])
    out.flush()
    time.sleep(0.2)
    out.write(whole[5000:])
"""
    )
    compiler.chmod(0o755)
    path = Path(build.__file__)
    script = f"import sys; sys.path.insert(0, {str(path.parent)!r}); import build as b; "
    script += "print(b.load().forward_float is not None)"
    environment = {
        "CXX": str(compiler),
        "XDG_CACHE_HOME": str(fresh / "other"),
        "PATH": "/usr/bin:/bin",
    }
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment, text=True
        )
        for _ in range(5)
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in racing] == ["True"] * 5
    assert len(list((fresh / "other").rglob("*"))) == 2  # the folder and one library
