"""The steps that are timed compute what they should: a model of known answer, attention by hand."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import known_answers
import numpy as np
import pytest
import torch
from known_answers import Bigram, Planted, draw_windows, loss_by_hand
from torch import Tensor

from reformer import lsh_attention
from suites.engine.job import Job
from suites.engine.measure import steps
from suites.engine.measure.build import build_attention_call, build_model
from suites.engine.measure.device import CPU
from suites.engine.measure.steps import Step, build_step
from suites.settings import Settings

SETTINGS = Settings(
    task="duplication",
    length=12,
    batch=3,
    d_model=16,
    d_ff=32,
    n_heads=2,
    n_layers=1,
    bucket_size=2,
    n_rounds=2,
    learning_rate=0.05,
)
CALL = replace(SETTINGS, subject="attention", measures=("time",), length=32, d_model=24, n_heads=3)


def job_of(settings: Settings, seed: int = 4, kind: str = "time") -> Job:
    return Job(case_id="x", kind=kind, index=0, seed=seed, settings=settings, device="cpu")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Bigram:
    model = Bigram(1)
    model.kernel = "a table"
    monkeypatch.setattr(steps, "build_model", lambda *_: model)
    monkeypatch.setattr(steps, "load_task", lambda *_, **__: Planted())
    return model


def batches_by_hand(seed: int, n: int) -> list[Any]:
    return [
        (tokens.flatten().numpy(), targets.flatten().numpy())
        for tokens, targets in itertools.islice(draw_windows(12, 3, seed), n)
    ]


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
@pytest.mark.parametrize("keep_gradients", [False, True])
def test_a_training_step_does_each_part_of_a_step_by_hand(
    planted: Bigram, optimizer: str, keep_gradients: bool
) -> None:
    """Each step has the next batch; no gradient of the step before is left in it."""
    settings = replace(SETTINGS, optimizer=optimizer)
    step = build_step(job_of(settings), CPU(), keep_gradients)
    assert list(step.parts) == ["forward", "backward", "optimizer"]
    assert step.parameters == [planted.table]
    assert step.kernel == "a table"
    update = getattr(known_answers, f"{optimizer}_by_hand")
    table, state = planted.table.detach().numpy().copy(), {}
    # the first batch is drawn when the step is built, where memory is measured without `prepare`
    for n, batch in enumerate(batches_by_hand(4, 5)):
        if n > 0:
            step.prepare()
        loss, gradient = loss_by_hand(table, *batch)
        assert [t.flatten().tolist() for t in step.inputs] == [part.tolist() for part in batch]
        step.parts["forward"]()
        assert len(planted.calls_of("loss")) == n + 1
        assert planted.calls[-1] == {
            "what": "loss",
            "training": True,
            "with grad": True,
            "autocast": False,
            "shape": (3, 12),
            "first_position": 0,
        }
        before = planted.table.detach().clone()
        step.parts["backward"]()
        np.testing.assert_allclose(planted.table.grad.numpy(), gradient, rtol=1e-9, atol=1e-15)
        assert torch.equal(planted.table, before), "backward is no update"
        step.parts["optimizer"]()
        table = table - update(table, gradient, n + 1, 0.05, state)
        np.testing.assert_allclose(planted.table.detach().numpy(), table, rtol=1e-9)
        if keep_gradients:
            assert not planted.table.grad.any()
        else:
            assert planted.table.grad is None
        assert loss > 0


def test_a_step_without_preparation_repeats_its_batch(planted: Bigram) -> None:
    step = build_step(job_of(SETTINGS), CPU(), keep_gradients=True)
    tokens = step.inputs[0].clone()
    step.run()
    step.run()
    assert torch.equal(step.inputs[0], tokens)
    assert len(planted.calls_of("loss")) == 2


def test_a_short_run_is_of_the_first_tokens_and_leaves_the_batch_whole(
    planted: Bigram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "SHORT", 5)
    step = build_step(job_of(SETTINGS), CPU(), keep_gradients=True)
    whole = [tensor.clone() for tensor in step.inputs]
    before = planted.table.detach().clone()
    step.run_short()
    assert [call["shape"] for call in planted.calls_of("loss")] == [(3, 5)]
    assert not torch.equal(planted.table, before), "the optimizer has its state"
    step.run()
    assert [call["shape"] for call in planted.calls_of("loss")] == [(3, 5), (3, 12)]
    assert all(map(torch.equal, step.inputs, whole))


def test_the_seed_of_the_job_decides_the_batches_and_the_model() -> None:
    one, again, other = (build_step(job_of(SETTINGS, seed), CPU(), False) for seed in (0, 0, 1))
    assert torch.equal(one.inputs[0], again.inputs[0])
    assert not torch.equal(one.inputs[0], other.inputs[0])
    pairs = list(zip(one.parameters, again.parameters, other.parameters, strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


def test_a_model_is_built_in_float32_and_in_training_mode() -> None:
    model = build_model(SETTINGS, 17, 0, "cpu")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.training
    assert model(torch.zeros(1, 12, dtype=torch.long)).shape == (1, 12, 17)


def dense_by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Ordinary causal attention: softmax of q . k / sqrt(width) over the positions up to it."""
    rows = []
    for i in range(q.shape[2]):
        logits = (k[:, :, : i + 1] @ q[:, :, i, :, None]) / q.shape[3] ** 0.5
        rows.append((logits.softmax(dim=2) * v[:, :, : i + 1]).sum(dim=2))
    return torch.stack(rows, dim=2)


def lsh_by_hand(qk: Tensor, v: Tensor, seed: int = 4) -> Tensor:
    """LSH attention with the hash that follows the inputs in the generator of the seed."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(2):
        torch.randn(qk.shape, generator=generator)
    return lsh_attention(qk, v, CALL.lsh(), generator=generator, kernel="plain")


@pytest.mark.parametrize(
    ("attention", "by_hand"),
    [("naive", dense_by_hand), ("sdpa", dense_by_hand), ("memory_efficient", dense_by_hand)],
)
def test_a_call_of_dense_attention_is_that_by_hand(
    attention: str, by_hand: Callable[..., Tensor]
) -> None:
    """The output, and the gradients of all three inputs from the step's own random gradient."""
    settings = replace(CALL, attention=attention)
    step = build_step(job_of(settings), CPU(), keep_gradients=True)
    compare(step, by_hand, 3)


@pytest.mark.parametrize("kernel", ["plain", "blocked"])
def test_a_call_of_lsh_attention_is_that_of_the_settings(kernel: str) -> None:
    step = build_step(job_of(replace(CALL, kernel=kernel)), CPU(), keep_gradients=True)
    assert step.kernel == kernel
    compare(step, lsh_by_hand, 2)


def compare(step: Step, by_hand: Callable[..., Tensor], n_inputs: int) -> None:
    assert list(step.parts) == ["forward", "backward"]
    assert step.optimizer is None
    assert len(step.parameters) == n_inputs
    assert {tuple(tensor.shape) for tensor in step.parameters} == {(3, 3, 32, 8)}
    [gradient] = step.inputs
    mine = [tensor.detach().double().requires_grad_() for tensor in step.parameters]
    expected = torch.autograd.grad(by_hand(*mine), mine, gradient.double())
    step.prepare()
    step.run()
    for tensor, wanted in zip(step.parameters, expected, strict=True):
        torch.testing.assert_close(tensor.grad, wanted.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ["lsh", "naive"])
@pytest.mark.parametrize("keep_gradients", [False, True])
def test_gradients_of_a_call_do_not_add_up_over_steps(attention: str, keep_gradients: bool) -> None:
    step = build_step(job_of(replace(CALL, attention=attention)), CPU(), keep_gradients)
    step.prepare()
    step.run()
    assert all(tensor.grad.any() for tensor in step.parameters)
    step.prepare()
    for tensor in step.parameters:
        assert tensor.grad is None if not keep_gradients else not tensor.grad.any()


@pytest.mark.parametrize("attention", ["lsh", "naive"])
def test_the_numbers_of_a_call_are_independent_normal_ones_of_the_seed(attention: str) -> None:
    settings = replace(CALL, attention=attention, length=512)
    drawn = []
    for seed in (0, 0, 1):
        step = build_step(job_of(settings, seed), CPU(), False)
        drawn.append([tensor.detach().flatten() for tensor in [*step.parameters, *step.inputs]])
    assert all(map(torch.equal, drawn[0], drawn[1]))
    assert not any(map(torch.equal, drawn[0], drawn[2]))
    correlations = torch.corrcoef(torch.stack(drawn[0]))
    # 36,864 numbers each: a standard deviation of 0.005
    assert torch.allclose(correlations, torch.eye(len(drawn[0])), atol=0.03)
    for numbers in drawn[0]:
        assert numbers.mean().item() == pytest.approx(0, abs=0.03)
        assert numbers.std().item() == pytest.approx(1, abs=0.03)


def test_a_call_is_new_hashes_on_the_same_inputs() -> None:
    call, inputs = build_attention_call(replace(CALL, kernel="plain"), 4, "cpu")
    one, other = call(), call()
    assert one.shape == inputs[0].shape
    assert not torch.equal(one, other)
