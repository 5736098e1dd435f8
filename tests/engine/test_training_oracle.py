"""Training is that of a loop written by hand in float64: schedule, losses, optimizer, curve."""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import known_answers
import numpy as np
import pytest
import torch
from known_answers import Bigram, Planted, evaluate_by_hand, train_by_hand

from suites.engine.failures import Diverged
from suites.engine.measure import training
from suites.engine.measure.training import (
    learning_rate_factor,
    schedule_batches,
    thin_out,
    train,
    train_and_evaluate,
)
from suites.settings import Settings
from suites.tasks import Task

SETTINGS = Settings(
    task="duplication",
    length=12,
    batch=3,
    d_model=16,
    d_ff=32,
    n_heads=2,
    n_layers=1,
    n_rounds=2,
    bucket_size=2,
    train_steps=11,
    first_steps=4,
    first_length=5,
    first_batch=2,
    optimizer="adamw",
    learning_rate=0.05,
    warmup_steps=3,
    heldout_tokens=50,
    evaluate_every=4,
)


def windows_of(task: Planted, length: int, batch: int, seed: int, n: int) -> list[Any]:
    return list(itertools.islice(known_answers.draw_windows(length, batch, seed), n))


def scheduled(settings: Settings, seed: int) -> list[Any]:
    """The schedule, as a table: so many short windows, then so many whole ones."""
    short = settings.first_length, settings.first_batch, seed, settings.first_steps
    n_whole = settings.train_steps - settings.first_steps
    whole = settings.length, settings.batch, seed, n_whole
    return [*windows_of(Planted(), *short), *windows_of(Planted(), *whole)]


def run(model: torch.nn.Module, task: Task, settings: Settings, seed: int) -> list[float]:
    losses: list[float] = []
    steps = list(train(model, task, settings, seed, losses))
    assert steps == list(range(1, settings.train_steps + 1))
    return losses


@pytest.mark.parametrize("first_steps", [0, 1, 4, 11])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_schedule_is_short_windows_then_whole_ones(first_steps: int, seed: int) -> None:
    settings = replace(SETTINGS, first_steps=first_steps)
    found, expected = list(schedule_batches(Planted(), settings, seed)), scheduled(settings, seed)
    assert [tuple(tokens.shape) for tokens, _ in found] == [
        *[(2, 5)] * first_steps,
        *[(3, 12)] * (11 - first_steps),
    ]
    for one, other in zip(found, expected, strict=True):
        assert all(map(torch.equal, one, other))


def test_without_short_steps_no_short_windows_are_asked_for() -> None:
    """A task that has none of that length may be trained on whole windows all the same."""
    task = Planted()
    list(schedule_batches(task, replace(SETTINGS, first_steps=0), 1))
    assert task.asked == [(12, 3, 1)]


@pytest.mark.parametrize(
    ("warmup", "steps", "expected"),
    [
        (4, 8, [1 / 4, 2 / 4, 3 / 4, 1, 1, 3 / 4, 2 / 4, 1 / 4]),
        (1, 5, [1, 1, 3 / 4, 2 / 4, 1 / 4]),
        (0, 4, [1, 3 / 4, 2 / 4, 1 / 4]),
        (6, 3, [1 / 6, 2 / 6, 3 / 6]),
        (3, 3, [1 / 3, 2 / 3, 1]),
    ],
)
def test_the_rate_goes_up_to_the_peak_and_down_to_one_step_before_zero(
    warmup: int, steps: int, expected: list[float]
) -> None:
    settings = replace(SETTINGS, warmup_steps=warmup, train_steps=steps, first_steps=0)
    found = [learning_rate_factor(step, settings) for step in range(steps)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
@pytest.mark.parametrize("seed", [0, 3])
def test_training_is_that_of_a_loop_by_hand(optimizer: str, seed: int) -> None:
    """The losses are those before each step, in nats; the weights those after the last."""
    settings, model = replace(SETTINGS, optimizer=optimizer), Bigram(seed)
    start = model.table.detach().numpy().copy()
    losses, tables = train_by_hand(start, scheduled(settings, seed), settings)
    assert run(model, Planted(), settings, seed) == pytest.approx(losses, rel=1e-10)
    np.testing.assert_allclose(model.table.detach().numpy(), tables[-1], rtol=1e-9)
    assert np.abs(tables[-1] - start).max() > 0.05, "it has moved"


def test_some_gradients_are_clipped_and_some_are_not() -> None:
    """Else the loop by hand would not show whether they are."""
    table, norms = Bigram(0).table.detach().numpy(), []
    batches = scheduled(SETTINGS, 0)
    _, tables = train_by_hand(table, batches, SETTINGS)
    for before, (tokens, targets) in zip([table, *tables], batches, strict=False):
        flat = tokens.flatten().numpy(), targets.flatten().numpy()
        norms.append(np.linalg.norm(known_answers.loss_by_hand(before, *flat)[1]))
    assert min(norms) < 0.9 < 1.1 < max(norms)


def test_short_windows_stand_at_random_positions_and_whole_ones_at_the_start() -> None:
    settings = replace(SETTINGS, train_steps=400, first_steps=390, evaluate_every=0)

    def positions(seed: int) -> list[int]:
        model = Bigram(0)
        run(model, Planted(), settings, seed)
        return [call["first_position"] for call in model.calls_of("loss")]

    one, again, other = positions(0), positions(0), positions(1)
    assert one == again != other
    assert one[390:] == [0] * 10
    # of length 12 a window of 5 may begin at 0 to 7: 49 times each, standard deviation 6.5
    counts = np.bincount(one[:390], minlength=8)
    assert len(counts) == 8
    assert all(20 < count < 80 for count in counts)


def test_short_windows_begin_a_row_where_positions_have_rows() -> None:
    settings = replace(SETTINGS, train_steps=100, first_steps=90, axial_positions=(4, 3))
    model = Bigram(0)
    run(model, Planted(), settings, 0)
    found = [call["first_position"] for call in model.calls_of("loss")]
    # a window of 5 in 4 rows of 3: it may begin at the first three
    assert set(found[:90]) == {0, 3, 6}
    assert found[90:] == [0] * 10


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Bigram, Planted]]:
    """Plant a model and a task in the place of those that the settings name."""
    model, task = Bigram(5), Planted()
    monkeypatch.setattr(training, "build_model", lambda *_: model)
    monkeypatch.setattr(training, "load_task", lambda *_, **__: task)
    return model, task


def test_the_curve_has_the_bits_of_its_steps_and_of_the_end(
    planted: tuple[Bigram, Planted],
) -> None:
    model, task = planted
    start = model.table.detach().numpy().copy()
    found = train_and_evaluate(SETTINGS, 2, "cpu")
    losses, tables = train_by_hand(start, scheduled(SETTINGS, 2), SETTINGS)

    tokens, targets = next(known_answers.draw_windows(12, 4, -1))  # 50 tokens are 4 windows of 12
    expected = {
        step: evaluate_by_hand(
            torch.from_numpy(Bigram.SHARPNESS * tables[step - 1])[tokens], targets
        )
        for step in (4, 8, 11)
    }
    assert [step for step, _ in found["curve"]] == [4, 8, 11]
    bits = [expected[step]["bits_per_dim"] for step in (4, 8, 11)]
    assert [bits for _, bits in found["curve"]] == pytest.approx(bits, rel=1e-6)
    for name, value in expected[11].items():
        assert found[name] == pytest.approx(value, rel=1e-6), name
    train_curve = [(step + 1, loss / math.log(2)) for step, loss in enumerate(losses)]
    assert found["train_curve"] == [(step, pytest.approx(bits)) for step, bits in train_curve]
    assert found["evaluated_with"] == {}

    n_tokens = sum(math.prod(call["shape"]) for call in model.calls_of("loss"))
    assert found["train_tokens"] == n_tokens == 4 * 2 * 5 + 7 * 3 * 12
    assert task.asked == [(5, 2, 2), (12, 3, 2)]
    assert found["data"] == {"name": "planted", "reference": {"planted": 1.5}}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_trains_in_training_mode_and_evaluates_in_the_other(
    planted: tuple[Bigram, Planted], precision: str
) -> None:
    """Evaluations amid it leave the steps after them as they were; both are in its precision."""
    model, _ = planted
    model.eval()
    train_and_evaluate(replace(SETTINGS, precision=precision), 0, "cpu")
    kinds = [call["what"] for call in model.calls]
    assert kinds.index("forward") < kinds.index("loss", 5), "a step follows an evaluation"
    for call in model.calls:
        is_step = call["what"] == "loss"
        assert (call["training"], call["with grad"]) == (is_step, is_step)
        assert call["autocast"] is (precision == "bfloat16")


@pytest.mark.parametrize("every", [0, 2, 3])
def test_the_seconds_of_the_curve_are_of_training_alone(
    planted: tuple[Bigram, Planted], monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """On a clock by which a step takes 10 s and an evaluation 1,000 s."""
    now = [0.0]

    def slowly(work: Any, seconds: float) -> Any:
        def wrapped(*arguments: Any, **keywords: Any) -> Any:
            now[0] += seconds
            return work(*arguments, **keywords)

        return wrapped

    monkeypatch.setattr(training, "perf_counter", lambda: now[0])
    monkeypatch.setattr(training, "step_loss", slowly(training.step_loss, 10.0))
    monkeypatch.setattr(training, "evaluate", slowly(training.evaluate, 1000.0))
    found = train_and_evaluate(replace(SETTINGS, evaluate_every=every), 0, "cpu")
    assert found["curve_s"] == [10.0 * step for step, _ in found["curve"]]


@pytest.mark.parametrize(("every", "steps"), [(0, [11]), (11, [11]), (5, [5, 10, 11])])
def test_the_curve_ends_at_the_last_step_and_has_it_once(
    planted: tuple[Bigram, Planted], every: int, steps: list[int]
) -> None:
    found = train_and_evaluate(replace(SETTINGS, evaluate_every=every), 0, "cpu")
    assert [step for step, _ in found["curve"]] == steps
    assert found["curve"][-1][1] == found["bits_per_dim"]


def test_the_reference_is_of_the_tokens_that_were_evaluated(
    planted: tuple[Bigram, Planted],
) -> None:
    """The held-out part may have fewer whole windows than asked for."""
    _, task = planted
    for heldout_tokens, n_heldout, expected in ((50, 100, 48), (5, 100, 12), (50, 2, 24)):
        task.n_heldout = n_heldout
        train_and_evaluate(replace(SETTINGS, heldout_tokens=heldout_tokens), 0, "cpu")
        assert task.reference_tokens[-1] == expected


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["training", "held-out"])
def test_a_loss_that_is_not_finite_ends_the_training_and_says_where(
    planted: tuple[Bigram, Planted], where: str, bad: float
) -> None:
    model, _ = planted
    n = 0

    def spoil() -> None:
        nonlocal n
        n += 1
        if n == 6:
            model.table.data[:] = bad

    note, spoiled = model.note, {"training": "loss"}.get(where, "forward")

    def noting(what: str, *arguments: Any) -> None:
        spoil() if what == spoiled else None
        note(what, *arguments)

    model.note = noting
    if where == "training":
        with pytest.raises(Diverged, match=r"the training loss was nan at step 6$"):
            train_and_evaluate(SETTINGS, 0, "cpu")
        assert len(model.calls_of("loss")) == 6
    else:
        n = 5
        with pytest.raises(Diverged, match="the held-out loss was nan"):
            train_and_evaluate(SETTINGS, 0, "cpu")


def test_the_training_curve_is_of_means_and_names_the_last_step_of_each() -> None:
    n = training.TRAIN_CURVE_POINTS
    losses = [random.uniform(1, 5) for _ in range(2 * n + 2)]
    found = thin_out(losses)
    assert [step for step, _ in found] == [*range(3, 2 * n + 2, 3), 2 * n + 2]
    for step, bits in found:
        piece = losses[(step - 1) // 3 * 3 : step]
        assert bits == pytest.approx(sum(piece) / len(piece) / math.log(2))
    few = losses[:n]
    assert thin_out(few) == [(i + 1, loss / math.log(2)) for i, loss in enumerate(few)]
