"""The bytes and operations of the Triton kernel are those that its interpreter meets."""

from dataclasses import replace

import pytest
import torch
from attention_oracle import random_inputs, skewed_buckets

from reformer import LSHConfig
from reformer.kernels import triton
from reformer.reference import attended_sets
from reformer.sorting import sort_rounds
from suites.engine.sweep import traffic
from suites.engine.sweep.traffic import Round

CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.skipif(bool(triton.unavailable(CPU)), reason=f"triton: {triton.unavailable(CPU)}"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
CHUNKS = 2  # of a run
USUAL = LSHConfig(n_rounds=2, bucket_size=16, chunk_length=32)


class Meter:
    """It counts what the interpreter is asked to load, store and multiply, within one kernel."""

    def __init__(self, monkeypatch):
        from triton.runtime import interpreter

        self.bytes, self.flop = 0, 0
        builder = interpreter.interpreter_builder
        load, store, dot = (
            builder.create_masked_load,
            builder.create_masked_store,
            builder.create_dot,
        )

        def counting_load(ptrs, mask, *rest):
            self.bytes += int(mask.data.sum()) * ptrs.get_element_ty().primitive_bitwidth // 8
            return load(ptrs, mask, *rest)

        def counting_store(ptrs, value, mask, *rest):
            self.bytes += int(mask.data.sum()) * ptrs.get_element_ty().primitive_bitwidth // 8
            return store(ptrs, value, mask, *rest)

        def counting_dot(a, b, *rest):
            self.flop += 2 * a.data.shape[0] * a.data.shape[1] * b.data.shape[1]
            return dot(a, b, *rest)

        monkeypatch.setattr(builder, "create_masked_load", counting_load)
        monkeypatch.setattr(builder, "create_masked_store", counting_store)
        monkeypatch.setattr(builder, "create_dot", counting_dot)


@pytest.fixture
def metered(monkeypatch):
    """Count each launch of the two passes on its own; others count nowhere."""
    from reformer.kernels.triton import attention, launch

    monkeypatch.setattr(launch, "_prepared", {})
    monkeypatch.setattr(attention, "chunks_of_run", lambda *sizes: CHUNKS)

    found = {"forward_round": [], "backward_round": [], "backward_run": []}
    run = launch.Launches.run

    def run_apart(self, tensors, *last):
        name = self.kernel.fn.__name__
        for constants in self.constants:
            one = launch.Launches(self.kernel, self.grid[0], self.numbers, [constants])
            with pytest.MonkeyPatch.context() as patch:
                meter = Meter(patch)
                run(one, tensors, *last)
            if name in found:
                found[name].append((meter.bytes, meter.flop, constants["BLOCK_M"]))

    monkeypatch.setattr(launch.Launches, "run", run_apart)
    return found


@pytest.mark.parametrize(
    "config",
    [
        USUAL,
        replace(USUAL, n_rounds=1),
        replace(USUAL, n_rounds=4, chunk_length=64),
        replace(USUAL, chunks_before=0),
        replace(USUAL, within_bucket=False, correct_duplicates=False),
    ],
    ids=["usual", "1 round", "4 rounds, 2 tiles a chunk", "no look-back", "no cells"],
)
def test_the_formula_counts_what_is_moved_and_multiplied(config, metered):
    B, H, L, W = 1, 2, 256, 16
    qk, v, grad = random_inputs(1, (B, H, L, W), torch.float32)
    buckets = skewed_buckets(1, config, (B, H, L))
    rounds = sort_rounds(buckets, config.n_buckets(L), config)
    torch.autograd.grad(triton.attend(qk, v, rounds, config), (qk, v), grad)
    earlier = attended_sets(buckets, config) & torch.ones(L, L, dtype=torch.bool).tril(-1)
    n_alone = int((~earlier.any(dim=-1).any(dim=2)).sum())
    assert n_alone >= B * H, "the first position attends to nobody"
    in_runs = config.chunks_before == 1 and config.m == 32
    taken = {name: found for name, found in metered.items() if found}
    assert list(taken) == ["forward_round", "backward_run" if in_runs else "backward_round"]
    for name, found in taken.items():
        assert len(found) == config.n_rounds
        pass_name, *run = name.removesuffix("_round"), *([CHUNKS] if "run" in name else [])
        in_bytes = getattr(traffic, f"{pass_name}_bytes")
        in_flop = getattr(traffic, f"{pass_name}_flop")
        for number, (moved, multiplied, rows) in enumerate(found):
            one = Round(
                width=W,
                element=4,
                n_rounds=config.n_rounds,
                number=number,
                chunk_length=rounds.chunk_length,
                chunks_before=rounds.chunks_before,
                rows=rows,
                needs_cells=config.within_bucket
                or (config.correct_duplicates and config.n_rounds > 1),
            )
            assert multiplied == B * H * L * in_flop(one, *run)
            expected = B * H * L * in_bytes(one, *run)
            # these take their own values in the last round, and their gradients in the first
            at = config.n_rounds - 1 if pass_name == "forward" else 0
            expected += 4 * W * n_alone * (number == at)
            assert moved == expected
