"""The compiled kernel equals the equations, and one compilation each way serves all lengths."""

import pytest
from attention_oracle import (
    CPU,
    assert_equal_to_reference,
    assert_float32_is_as_exact_as_the_reference,
    assert_near,
    of_kernel,
    of_reference,
    random_buckets,
    random_inputs,
)
from torch._dynamo.utils import counters

from reformer import LSHConfig
from reformer.kernels import blocked, torch_compile
from suites.engine.measure.memory import LivePeak

pytestmark = [
    pytest.mark.slow,  # 10 s for each combination of shapes and switches, less once they are cached
    pytest.mark.skipif(bool(torch_compile.unavailable(CPU)), reason=torch_compile.unavailable(CPU)),
]


@pytest.mark.parametrize(
    "switches",
    [{}, {"causal": False, "within_bucket": False}, {"correct_duplicates": False}],
    ids=str,
)
def test_equals_reference(switches):
    config = LSHConfig(n_rounds=3, bucket_size=8, chunk_length=16, **switches)
    assert_equal_to_reference(config, "compiled", seed=1, shape=(2, 2, 96, 16))


def test_float32_error_is_at_most_twice_the_references():
    config = LSHConfig(n_rounds=4, bucket_size=8)
    shape = (2, 2, 256, 16)
    buckets = random_buckets(5, config, shape[:3])
    assert_float32_is_as_exact_as_the_reference(config, "compiled", 5, shape, buckets)


def test_its_memory_can_be_measured():
    """The watcher of live tensors is a dispatch mode, under which PyTorch may refuse to compile."""
    config = LSHConfig(n_rounds=2, bucket_size=8, chunk_length=16)
    inputs = random_inputs(7, (2, 2, 96, 16))
    buckets = random_buckets(7, config, (2, 2, 96))
    with LivePeak() as watch:
        found = of_kernel("compiled", config, buckets, inputs)
    assert watch.peak_bytes >= sum(x.nbytes for x in found)
    assert_near(found, of_reference(config, buckets, inputs))


def test_one_compilation_each_way_serves_all_lengths(monkeypatch):
    """With 5 chunks in a block lengths of 4 x 6 and 4 x 9 chunks leave 4 and 1 to run eagerly."""
    config = LSHConfig(n_rounds=2, bucket_size=8, chunk_length=16)
    monkeypatch.setattr(blocked, "BLOCK_LOGITS", 5 * 16 * 32)
    before = counters["stats"]["unique_graphs"]
    for seed, length in enumerate((96, 144, 96)):
        assert_equal_to_reference(config, "compiled", seed, shape=(2, 2, length, 8))
    assert counters["stats"]["unique_graphs"] == before + 2
