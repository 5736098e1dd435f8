"""What LSH meets of the true attention, and what is drawn of a head, is counted pair by pair."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from findings import QUALITY
from test_past_only import SETTINGS, VOCABULARY, talkative, windows
from torch import Tensor

from reformer.choices import draw_in_evaluation
from reformer.config import LSHConfig
from reformer.hashing import draw_rotations
from reformer.reference import attended_sets, reference_buckets
from suites.engine.measure import attention_mass, inside
from suites.engine.measure.analyses import ANALYSE, analyse
from suites.engine.measure.attention_mass import Attended, attended
from suites.engine.measure.head import head
from suites.engine.measure.training import train_and_evaluate
from suites.engine.store.analyses import Analyses
from suites.engine.store.records import Quality
from suites.engine.store.shapes import misfit
from suites.engine.sweep.ledger import covers
from suites.evaluations import ANALYSES, analyses_of
from suites.settings import Settings

TRAINED = replace(SETTINGS, task="duplication", train_steps=2, warmup_steps=1, heldout_tokens=256)


def buckets_by_hand(one: Attended, seed: int) -> Tensor:
    """Hash the queries of a layer by the oracle, with the rotations that its call drew."""
    length, width = one.qk_HLW.shape[-2:]
    draw = draw_in_evaluation(seed, 9)[one.layer][0].generator()
    factors = one.config.hash_factors(length)
    rotations = draw_rotations(width, factors, one.config.n_rounds, draw, one.config.rotation)
    buckets = reference_buckets(one.qk_HLW[None].double(), rotations)
    return buckets.expand(1, len(one.qk_HLW), one.config.n_rounds, length)  # with one bucket too


def weights_by_hand(qk: Tensor, i: int) -> Tensor:
    """The attention of query i of one head to keys 0 ... i - 1, of unit length."""
    keys = qk[:i] / qk[:i].norm(dim=-1, keepdim=True)
    return (keys @ qk[i]).softmax(dim=-1)


CHANGES: list[dict[str, Any]] = [
    {},
    {"n_rounds": 3, "bucket_size": 8, "chunk_length": 8},
    {"chunks_before": 0},
    {"within_bucket": False},
    {"rotation": "normal"},
    {"attention": "local", "chunk_length": 8},
    {"bucket_size": 64, "chunk_length": 32},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_the_mass_is_that_of_the_pairs_of_the_oracle(changes: dict[str, Any]) -> None:
    settings, seed = replace(SETTINGS, **changes), 5
    model = talkative(settings, seed)
    tokens, targets = windows(seed, 1)
    found = attention_mass.attention_mass(model, (tokens, targets), settings)
    assert found["layers"] == [0, 1]
    for one, mass, pairs in zip(
        attended(model, tokens, settings), found["mass"], found["pairs"], strict=True
    ):
        sets = attended_sets(buckets_by_hand(one, seed), one.config)[0]  # heads, rounds, i, j
        assert len(mass) == len(pairs) == one.config.n_rounds
        for r in range(one.config.n_rounds):
            shares, counts = [], []
            for h in range(settings.n_heads):
                for i in range(1, settings.length):
                    near = sets[h, : r + 1, i, :i].any(dim=0)
                    shares.append(float(weights_by_hand(one.qk_HLW[h], i)[near].sum()))
                    counts.append(float(near.sum()) / i)
            assert mass[r] == pytest.approx(sum(shares) / len(shares), abs=1e-5)
            assert pairs[r] == pytest.approx(sum(counts) / len(counts), abs=1e-5)
        assert mass == sorted(mass)
        if changes.get("bucket_size") == 64:
            assert mass[0] == pytest.approx(1, abs=1e-5), "one bucket in one chunk holds all"
        else:
            assert 0 < mass[-1] < 1


def test_the_temperature_counts_and_layers_without_chunks_are_left_out() -> None:
    """Scaled logits make another true attention; in a pattern the full layers meet all anyway."""
    settings = replace(SETTINGS, attention="sdpa+lsh", shared_qk=True)
    model, held = talkative(settings, 6), windows(6, 1)
    found = attention_mass.attention_mass(model, held, settings)
    assert found["layers"] == [1]
    one = attended(model, held[0], settings)[0]
    cold = replace(one, config=replace(one.config, logit_scale=3.0))
    weights = attention_mass.true_attention(cold.qk_HLW, torch.tensor([40]), 3.0)[0, 0]
    expected = torch.zeros(64)
    expected[:40] = (
        3 * one.qk_HLW[0, :40] @ one.qk_HLW[0, 40] / norms(one.qk_HLW[0, :40])
    ).softmax(-1)
    torch.testing.assert_close(weights, expected)
    assert not torch.allclose(
        attention_mass.mass_of(cold)[0], attention_mass.mass_of(one)[0], atol=1e-3
    )


def norms(vectors: Tensor) -> Tensor:
    return vectors.norm(dim=-1)


def test_of_many_queries_some_are_taken_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces of any size all queries give the same; of a few taken the mean stays near."""
    model, held = talkative(SETTINGS, 7), windows(7, 1)
    whole = attention_mass.attention_mass(model, held, SETTINGS)
    monkeypatch.setattr(attention_mass, "PAIRS_AT_ONCE", 1)
    assert attention_mass.attention_mass(model, held, SETTINGS) == whole
    monkeypatch.setattr(attention_mass, "QUERIES", 16)
    some = attention_mass.attention_mass(model, held, SETTINGS)
    assert some != whole
    assert some["mass"][0] == pytest.approx(whole["mass"][0], abs=0.15)


def test_a_head_is_drawn_as_the_equations_say() -> None:
    settings, seed = replace(SETTINGS, length=64, n_heads=2), 8
    model, held = talkative(settings, seed), windows(seed, 3)
    found = head(model, held, settings)
    layers = attended(model, held[0][:1], settings)
    shares = {
        (one.layer, h): sum(
            float(weights_by_hand(one.qk_HLW[h], i)[: i - 16].sum()) for i in range(17, 64)
        )
        for one in layers
        for h in (0, 1)
    }
    assert max(shares, key=lambda at: shares[at]) == (found["layer"], found["head"])
    qk = layers[found["layer"]].qk_HLW[found["head"]]
    assert [len(row) for row in found["weights"]] == list(range(1, 64))
    for i, row in enumerate(found["weights"], start=1):
        assert row == pytest.approx(weights_by_hand(qk, i).tolist(), abs=6e-4)
    assert found["tokens"] == held[0][0].tolist()

    draw = torch.Generator().manual_seed(inside.SEED)
    rotations = draw_rotations(8, (8,), 1, draw)
    expected = reference_buckets(qk[None, None].double(), rotations).flatten()
    assert found["buckets"] == expected.tolist()
    assert (found["chunk_length"], found["chunks_before"]) == (16, 1)

    plane = torch.tensor(found["plane"]).double()
    unit = (qk / norms(qk).unsqueeze(-1)).double()
    values = torch.linalg.eigvalsh(unit.T @ unit)
    assert found["kept"] == pytest.approx(float(values[-2:].sum() / values.sum()), abs=1e-5)
    assert float(plane.square().sum()) / 64 == pytest.approx(found["kept"], abs=1e-3)
    for axes, buckets in zip(found["axes"], found["plane_buckets"], strict=True):
        one, two = torch.tensor(axes).double()
        assert float(one @ two) == pytest.approx(0, abs=1e-3)
        centres = torch.stack([one, two, -one, -two])
        assert buckets == (plane @ centres.T).argmax(dim=-1).tolist()
    assert len(found["plane_buckets"]) == 3


@pytest.mark.parametrize("length", [4, 7, 40, 100])
def test_a_head_of_any_length_fits_the_format(length: int) -> None:
    settings = replace(SETTINGS, length=length, bucket_size=2, attention="local+lsh")
    model = talkative(settings, 9)
    tokens = torch.randint(VOCABULARY, (2, length))
    found = head(model, (tokens, tokens), settings)
    assert found["layer"] == 1, "the one that hashes"
    assert misfit({"head": json.loads(json.dumps(found))}, Analyses) == ""
    assert len(found["buckets"]) <= 64


def test_a_training_makes_the_analyses_that_are_asked_for_and_fit() -> None:
    """The record's quality has them by name, whole, in few bytes, and nothing else changes."""
    assert [*ANALYSE] == [*ANALYSES]
    asked = replace(TRAINED, analyses=tuple(ANALYSES))
    found, plain = (train_and_evaluate(s, 3, "cpu") for s in (asked, TRAINED))
    assert plain["analyses"] == {}
    assert found["bits_per_dim"] == plain["bits_per_dim"]
    assert [*found["analyses"]] == [*ANALYSES]
    text = json.dumps(found)
    assert len(text) < 30_000
    assert misfit(json.loads(text), Quality) == ""
    assert train_and_evaluate(asked, 3, "cpu")["analyses"] == found["analyses"]
    other = train_and_evaluate(replace(asked, attention="sdpa"), 3, "cpu")
    assert [*other["analyses"]] == ["past only"]


def test_the_model_goes_on_in_training_mode_as_it_was() -> None:
    settings = replace(SETTINGS, analyses=tuple(ANALYSES), dropout=0.2)
    model = talkative(settings, 1).train()
    state = {name: weight.clone() for name, weight in model.state_dict().items()}
    found = analyse(model, iter([windows(1, 2), windows(2, 3)]), settings)
    assert found["past only"]["n_windows"] == 5
    assert model.training
    assert all(torch.equal(weight, state[name]) for name, weight in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_is_asked_must_exist_and_counts_where_layers_allow_it() -> None:
    with pytest.raises(ValueError, match="unknown analysis 'heads'; did you mean 'head'"):
        Settings(analyses=("heads",))
    asked = {"analyses": ("head", "past only", "attention mass")}
    expected = {
        "lsh": ["head", "past only", "attention mass"],
        "local": ["past only", "attention mass"],
        "local+lsh": ["head", "past only", "attention mass"],
        "sdpa": ["past only"],
        "own_attention:average": ["past only"],
    }
    for attention, names in expected.items():
        assert analyses_of(Settings(attention=attention, **asked)) == names, attention


def test_a_training_without_an_analysis_does_not_cover_one_that_asks_for_it() -> None:
    asked = Settings(analyses=("head", "past only"))
    line: Any = {"kind": "quality", "part": QUALITY}
    assert covers(line, Settings()), "old records have no analyses"
    assert not covers(line, asked)
    line["part"] = QUALITY | {"analyses": {"past only": {}}}
    assert not covers(line, asked)
    assert covers(line, replace(asked, attention="sdpa")), "which has no such head"
    line["part"]["analyses"]["head"] = {}
    assert covers(line, asked)


def test_a_record_whose_analysis_has_another_shape_is_none() -> None:
    change = {"bits_change": 0.0, "bits_error": 0.0, "share_changed": 0.0, "largest_change": 0.0}
    past = {**change, "n_windows": 8, "n_positions": 256}
    assert misfit(QUALITY, Quality) == ""
    assert misfit(QUALITY | {"analyses": {"past only": past}}, Quality) == ""
    for wrong, said in (
        ({"past only": change}, "analyses.past only has no 'n_positions'"),
        ({"past only": past | {"own_hash": {}}}, "own_hash has no 'bits_change'"),
        (
            {"attention mass": {"n_windows": 1, "layers": [0], "mass": [0.5], "pairs": [[1.0]]}},
            "mass",
        ),
    ):
        assert said in misfit(QUALITY | {"analyses": wrong}, Quality)


def test_the_config_of_local_attention_is_no_hash() -> None:
    """It has one round and one bucket, whatever the settings of hashing say."""
    settings = replace(SETTINGS, attention="local")
    [first, _] = attended(talkative(settings, 1), windows(1, 1)[0], settings)
    assert isinstance(first.config, LSHConfig)
    assert first.config.n_buckets(64) == 1
