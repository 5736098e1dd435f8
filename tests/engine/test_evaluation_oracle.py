"""Evaluation is cross-entropy by hand over held-out windows that the tests cut themselves."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from known_answers import VOCABULARY, Bigram, Planted, draw_windows, evaluate_by_hand
from torch import Tensor

from baselines import Dense
from reformer import LSHConfig
from reformer.model import SharedQKAttention
from reformer.reference import reference_full_attention
from suites.engine.measure.build import build_model
from suites.engine.measure.training import evaluate, train, train_and_evaluate, with_attention
from suites.evaluations import evaluations
from suites.settings import Settings
from suites.tasks import Task
from suites.tasks.base import IGNORED
from suites.tasks.duplication import DuplicationTask
from suites.tasks.text import TextTask

SETTINGS = Settings(
    length=16,
    batch=3,
    d_model=16,
    d_ff=32,
    n_heads=2,
    n_layers=2,
    n_rounds=2,
    bucket_size=2,
    heldout_tokens=170,
    dropout=0.1,
)
MODELS = {
    "lsh": {},
    "dense": {"attention": "sdpa"},
    "in pieces": {"loss_chunks": 2, "ff_chunks": 2, "reversible": False},
}


def text_task(seed: int) -> TextTask:
    data = np.random.default_rng(seed).integers(0, VOCABULARY, 900).astype(np.uint8)
    splits = {"train": 500, "valid": 100, "test": 300}
    return TextTask(
        name="text",
        data=data,
        splits=splits,
        sha256="0",
        stand_in=False,
        source="random",
        vocabulary=VOCABULARY,
    )


def text_windows(task: TextTask) -> tuple[Tensor, Tensor]:
    """170 tokens are 10 whole windows of 16, from byte 600 on."""
    rows = [task.data[600 + 16 * i :][:17].astype(np.int64) for i in range(10)]
    windows = torch.from_numpy(np.stack(rows))
    return windows[:, :-1], windows[:, 1:]


def duplication_windows(task: DuplicationTask) -> tuple[Tensor, Tensor]:
    """Of 0 w 0 w with seven symbols in w, only the seven of the second w count."""
    tokens = torch.cat([tokens for tokens, _ in task.heldout_batches(16, 10, 160)])
    targets = torch.full_like(tokens, IGNORED)
    for row in range(10):
        for place in range(9, 16):
            targets[row, place - 1] = tokens[row, place - 8]
    return tokens, targets


def windows_of(task: Task) -> tuple[Tensor, Tensor]:
    if isinstance(task, TextTask):
        return text_windows(task)
    if isinstance(task, DuplicationTask):
        return duplication_windows(task)
    return next(draw_windows(16, 10, -1))


def trained_a_little(settings: Settings, vocabulary: int, seed: int) -> Any:
    """A model that says something: its output layer starts almost at nothing."""
    model = build_model(settings, vocabulary, seed, "cpu")
    generator = torch.Generator().manual_seed(seed)
    model.head[1].weight.data.normal_(std=0.5, generator=generator)
    return model


TASKS = (text_task(1), DuplicationTask(), Planted())
CASES = [(name, task) for name in MODELS for task in TASKS] + [("bigram", TASKS[2])]


@pytest.mark.parametrize(
    ("name", "task"), CASES, ids=[f"{name}-{task.name}" for name, task in CASES]
)
def test_bits_per_dim_and_accuracy_are_those_by_hand(name: str, task: Task) -> None:
    """All windows count by how many of their targets count, in batches of 3, 3, 3 and 1."""
    settings = replace(SETTINGS, **MODELS.get(name, {}))
    is_table = name == "bigram"
    model = Bigram(1) if is_table else trained_a_little(settings, task.vocabulary, 1)
    found = evaluate(model, task, settings)
    tokens, targets = windows_of(task)
    assert tokens.shape == (10, 16)
    model.eval()
    logits = torch.cat([model(tokens[i : i + 3]) for i in range(0, 10, 3)])
    expected = evaluate_by_hand(logits, targets)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-6), key
    assert 0 < found["heldout_tokens"] <= 160


def test_it_tells_what_is_known() -> None:
    """A model sure of the right symbol has 0 bits, one that says nothing log2 of the symbols."""
    model, task = Bigram(0), Planted()
    model.table.data.zero_()
    assert evaluate(model, task, SETTINGS)["bits_per_dim"] == pytest.approx(math.log2(VOCABULARY))
    windows = torch.arange(11).repeat(4)[:17].expand(3, 17)
    task.heldout_batches = lambda *_: iter([(windows[:, :-1], windows[:, 1:])])
    model.table.data[torch.arange(11), (torch.arange(11) + 1) % 11] = 40.0
    found = evaluate(model, task, SETTINGS)
    assert found == {
        "bits_per_dim": pytest.approx(0, abs=1e-12),
        "accuracy": 1,
        "heldout_tokens": 48,
    }


def test_bfloat16_rounds_what_is_evaluated_too() -> None:
    task = text_task(2)
    model = trained_a_little(SETTINGS, VOCABULARY, 2)
    settings = replace(SETTINGS, precision="bfloat16")
    found, exact = (evaluate(model, task, s)["bits_per_dim"] for s in (settings, SETTINGS))
    tokens, targets = windows_of(task)
    model.eval()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        logits = torch.cat([model(tokens[i : i + 3]) for i in range(0, 10, 3)])
    assert logits.dtype == torch.bfloat16
    assert found == pytest.approx(evaluate_by_hand(logits, targets)["bits_per_dim"], rel=1e-5)
    assert found != pytest.approx(exact, rel=1e-5)


def with_rounds(model: Any, settings: Settings, n_rounds: int, seed: int = 3) -> Any:
    evaluated = evaluations(replace(settings, evaluate_rounds=(n_rounds,)))
    [changes] = evaluated.values()
    return with_attention(model, replace(settings, **changes), model.config.vocabulary, seed)


def test_a_model_with_other_rounds_has_the_same_weights_and_settings_but_those() -> None:
    settings = replace(SETTINGS, within_bucket=False, chunks_before=2)
    model = build_model(settings, 11, 3, "cpu")
    for n_rounds in (1, 2, 4, 0):
        other = with_rounds(model, settings, n_rounds)
        if n_rounds:
            attention = replace(model.config.attention, n_rounds=n_rounds)
            assert other.config == replace(model.config, attention=attention)
        else:
            assert isinstance(other, Dense)
            assert (other.config.shared_qk, other.config.reversible) == (True, True)
        for name, weight in model.named_parameters():
            mine = other.get_parameter(name if n_rounds else name.replace(".to_qk.", ".to_q."))
            assert torch.equal(mine, weight), name
            assert mine.data_ptr() != weight.data_ptr(), "a copy"
    assert model.config.attention.n_rounds == 2


def attend_fully(self: Any, qk: Tensor, v: Tensor, config: LSHConfig, choices: Any) -> Tensor:
    return reference_full_attention(qk, v)


def test_full_attention_is_the_oracles(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 rounds: every layer attends to all earlier positions over unit keys (paper, table 2)."""
    task, model = text_task(4), trained_a_little(SETTINGS, VOCABULARY, 4)
    found = evaluate(with_rounds(model, SETTINGS, 0, seed=4), task, SETTINGS)

    monkeypatch.setattr(SharedQKAttention, "_lsh", attend_fully)
    expected = evaluate(model, task, SETTINGS)
    assert found["bits_per_dim"] == pytest.approx(expected["bits_per_dim"], rel=1e-5)
    assert found["accuracy"] == expected["accuracy"]


def answer_rounds(self: Any, qk: Tensor, v: Tensor, config: LSHConfig, choices: Any) -> Tensor:
    """Answer what is known: with r rounds the branch adds r to every number."""
    return torch.full_like(v, float(config.n_rounds))


def test_the_table_of_rounds_says_which_rounds_gave_what(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention answers with the number of its rounds, so that each row of the table is known."""
    monkeypatch.setattr(SharedQKAttention, "_lsh", answer_rounds)
    settings = replace(SETTINGS, task="duplication", train_steps=3, warmup_steps=1, dropout=0.0)
    found = train_and_evaluate(replace(settings, evaluate_rounds=(1, 2, 5, 0)), 6, "cpu")
    table = found["evaluated_with"]
    assert list(table) == ["1", "2", "5", "full"]
    as_trained = {name: found[name] for name in ("bits_per_dim", "accuracy", "heldout_tokens")}
    assert table["2"] == as_trained | {"bucket_size": 2, "chunk_length": 4}

    # the same training by the library alone, and its rounds changed by hand
    model = build_model(settings, 128, 6, "cpu")
    assert len(list(train(model, DuplicationTask(), settings, 6, []))) == 3
    for name in ("1", "2", "5", "full"):
        if name == "full":
            monkeypatch.setattr(SharedQKAttention, "_lsh", attend_fully)
        else:
            for layer in model.layers:
                layer.attention.attention = LSHConfig(n_rounds=int(name), bucket_size=2)
        tokens, targets = windows_of(DuplicationTask())
        expected = evaluate_by_hand(model.eval()(tokens), targets)
        assert table[name]["bits_per_dim"] == pytest.approx(expected["bits_per_dim"], rel=1e-5)
    assert len({row["bits_per_dim"] for row in table.values()}) == 4


def full_by_hand(unit_keys: bool, attend_self: bool, logit_scale: float) -> Any:
    """Return attention over all earlier positions, a row at a time, for a dense or LSH branch."""

    def attend(q: Tensor, v: Tensor) -> Tensor:
        keys = q / q.norm(dim=-1, keepdim=True) if unit_keys else q
        scale = logit_scale if unit_keys else q.shape[-1] ** -0.5
        rows = []
        for i in range(q.shape[-2]):
            end = i + 1 if attend_self or i == 0 else i
            logits = scale * torch.einsum("bhw,bhkw->bhk", q[:, :, i], keys[:, :, :end])
            rows.append(torch.einsum("bhk,bhkw->bhw", logits.softmax(dim=-1), v[:, :, :end]))
        return torch.stack(rows, dim=2)

    return attend


WAYS = {"full": (True, False), "full with itself": (True, True), "full standard": (False, True)}


@pytest.mark.parametrize("trained", ["lsh", "sdpa"])
@pytest.mark.parametrize("logit_scale", [1.0, 0.3])
def test_the_ways_of_full_attention_are_those_by_hand(
    monkeypatch: pytest.MonkeyPatch, trained: str, logit_scale: float
) -> None:
    """Whatever the weights were trained with, all is evaluated as written a row at a time."""
    how = {"evaluate_rounds": (2, 0), "evaluate_as": ("with itself", "standard", "across buckets")}
    settings = replace(SETTINGS, attention=trained, shared_qk=True, task="duplication", **how)
    settings = replace(
        settings, train_steps=3, warmup_steps=1, dropout=0.0, logit_scale=logit_scale
    )
    table = train_and_evaluate(settings, 6, "cpu")["evaluated_with"]
    assert list(table) == ["2", "2 across buckets", *WAYS]

    model = build_model(settings, 128, 6, "cpu")
    assert len(list(train(model, DuplicationTask(), settings, 6, []))) == 3
    tokens, targets = windows_of(DuplicationTask())
    lsh = build_model(replace(settings, attention="lsh"), 128, 6, "cpu")
    rename = (".to_q.", ".to_qk.") if trained == "sdpa" else ("", "")
    state = {name.replace(*rename): weight for name, weight in model.state_dict().items()}
    lsh.load_state_dict(state)
    expected = {"2": evaluate_by_hand(lsh.eval()(tokens), targets)}
    for layer in lsh.layers:
        layer.attention.attention = replace(
            layer.attention.attention, within_bucket=False, correct_duplicates=False
        )
    expected["2 across buckets"] = evaluate_by_hand(lsh(tokens), targets)
    for name, way in WAYS.items():
        by_hand = full_by_hand(*way, logit_scale)
        monkeypatch.setattr(
            SharedQKAttention, "_lsh", lambda self, qk, v, *_, by_hand=by_hand: by_hand(qk, v)
        )
        expected[name] = evaluate_by_hand(lsh(tokens), targets)
    for name, row in expected.items():
        assert table[name]["bits_per_dim"] == pytest.approx(row["bits_per_dim"], rel=1e-5), name
    assert len({row["bits_per_dim"] for row in table.values()}) == 5


def test_a_model_trained_across_buckets_is_evaluated_so_with_any_rounds() -> None:
    how = {"evaluate_rounds": (2, 1, 0), "evaluate_as": ("across buckets",)}
    across = {"within_bucket": False, "correct_duplicates": False}
    found = evaluations(replace(SETTINGS, **how, **across))
    assert list(found) == ["2", "1", "full"]
    for n_rounds in ("2", "1"):
        settings = replace(SETTINGS, **across, **found[n_rounds]).lsh()
        assert (settings.within_bucket, settings.correct_duplicates) == (False, False)
    assert "2 across buckets" in evaluations(replace(SETTINGS, **how, within_bucket=False))


def test_what_has_other_queries_than_keys_is_evaluated_as_trained_alone() -> None:
    how = {"evaluate_rounds": (2, 0), "evaluate_as": ("standard",)}
    for changes in ({"attention": "sdpa"}, {"attention": "local"}, {"attention": "local+lsh"}):
        assert evaluations(replace(SETTINGS, **how, **changes)) == {}
