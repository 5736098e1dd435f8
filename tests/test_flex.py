"""FlexAttention equals the equations on the CPU, eagerly and as torch.compile traces it.

Its lists of blocks are those that hold keys.
"""

import itertools

import pytest
import torch
from attention_oracle import CPU, assert_equal_to_reference, random_buckets, random_inputs
from torch.nn.functional import pad

from reformer import LSHConfig
from reformer.kernels import flex, torch_compile
from reformer.sorting import sort_rounds

FLEX = flex.flex
needs_compiler = pytest.mark.skipif(
    bool(torch_compile.unavailable(CPU)), reason=torch_compile.unavailable(CPU)
)


@pytest.mark.parametrize("n_rounds", [1, 3])
def test_equals_reference_over_rounds(n_rounds):
    assert_equal_to_reference(LSHConfig(n_rounds=n_rounds, bucket_size=4), "flex", seed=n_rounds)


@pytest.mark.parametrize("chunks_before", [0, 1, 2])
@pytest.mark.parametrize(
    ("causal", "within_bucket", "correct_duplicates"),
    [(True, True, False), (False, True, True), (True, False, True), (False, False, False)],
)
def test_equals_reference_for_switches(causal, within_bucket, correct_duplicates, chunks_before):
    config = LSHConfig(
        n_rounds=2,
        bucket_size=8,
        chunk_length=8,
        logit_scale=0.7,
        causal=causal,
        within_bucket=within_bucket,
        correct_duplicates=correct_duplicates,
        chunks_before=chunks_before,
    )
    assert_equal_to_reference(config, "flex", seed=1, shape=(1, 2, 48, 4))


@pytest.mark.parametrize(
    ("chunk_length", "n_chunks"), [(16, 1), (16, 20), (40, 15), (64, 10), (128, 3), (256, 5)]
)
@pytest.mark.parametrize("chunks_before", [0, 1, 2])
def test_the_blocks_listed_are_those_with_keys(chunk_length, n_chunks, chunks_before):
    length = chunk_length * n_chunks
    lists = flex.block_lists(length, chunk_length, chunks_before, CPU)
    chunk = torch.arange(length) // chunk_length
    in_window = (chunk.unsqueeze(1) - chunk) % n_chunks <= chunks_before
    missing = -length % flex.BLOCK
    blocks = pad(in_window, (0, missing, 0, missing)).unfold(0, flex.BLOCK, flex.BLOCK)
    seen = blocks.unfold(1, flex.BLOCK, flex.BLOCK).flatten(2).any(dim=-1)
    for name, expected in (("kv", seen), ("q", seen.t())):
        counts, indices = (lists[f"{name}_{what}"][0, 0] for what in ("num_blocks", "indices"))
        found = [row[:n].tolist() for row, n in zip(indices, counts, strict=True)]
        assert found == [row.nonzero().flatten().tolist() for row in expected]


def test_the_block_lists_grow_with_the_length_only():
    sizes = [
        flex.block_lists(length, 64, 1, CPU)["kv_indices"].numel() for length in (2**13, 2**14)
    ]
    assert sizes[1] == 2 * sizes[0]


def calls(length, seed, chunk_length=64, **switches):
    """Yield what the kernel gives FlexAttention in each round, on the CPU."""
    config = LSHConfig(n_rounds=3, bucket_size=8, chunk_length=chunk_length, **switches)
    shape = (1, 2, length, 16)
    qk, v, _ = random_inputs(seed, shape, torch.float32)
    buckets = random_buckets(seed, config, shape[:3])
    rounds = sort_rounds(buckets, config.n_buckets(length), config)
    for this in flex._rounds(rounds, config):
        yield *(flex._take(x.detach(), this) for x in (qk, qk, v)), this


def test_all_rounds_and_inputs_share_one_compilation():
    """On CUDA one compilation takes half a minute.

    It is traced here; the code generator of the CPU knows no z.
    """
    traced = []

    def count(graph, _):
        traced.append(graph)
        return graph.forward

    fast = torch.compile(FLEX.flex_attention, backend=count, dynamic=False, fullgraph=True)
    for q, k, v, this in itertools.chain(calls(192, 1), calls(192, 2)):
        options = {"scale": 1.0, "return_aux": FLEX.AuxRequest(lse=True)}
        out, aux = fast(q, k, v, this.change_logit, this.blocks, **options)
        expected = flex._attend_round(this, q, k, v)
        torch.testing.assert_close((out, aux.lse), expected)
    assert len(traced) == 1


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("switches", [{}, {"chunk_length": 80, "within_bucket": False}], ids=str)
def test_generated_code_that_visits_the_listed_blocks_only_equals_eager(switches):
    for q, k, v, this in calls(640, 3, **switches):
        missing = this.blocks.kv_indices.shape[-2] - this.blocks.kv_indices.shape[-1]
        # on the CPU alone a list must be as long as there are blocks
        this.blocks.kv_indices = pad(this.blocks.kv_indices, (0, missing))
        with torch.no_grad():
            run = torch_compile.compile_static(FLEX.flex_attention)
            found = run(q, k, v, this.change_logit, this.blocks, scale=1.0)
        torch.testing.assert_close(found, flex._attend_round(this, q, k, v)[0])
