"""What a prediction from the prefix alone changes is worked out by hand, from the equations."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from reformer.config import LSHConfig
from reformer.hashing import draw_rotations
from reformer.model import SharedQKAttention
from reformer.reference import reference_attention, reference_buckets
from suites.engine.measure import past_only
from suites.engine.measure.build import build_model
from suites.engine.sweep import prediction
from suites.settings import Settings
from suites.tasks.base import IGNORED

LENGTH, VOCABULARY = 64, 11
SETTINGS = Settings(
    length=LENGTH,
    d_model=16,
    d_ff=32,
    n_heads=2,
    n_layers=2,
    n_rounds=2,
    bucket_size=4,
    kernel="plain",
)
NAMES = ("bits_change", "bits_error", "share_changed", "largest_change")


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def talkative(settings: Settings, seed: int) -> Any:
    """A model whose attention and output say something: at the start they say almost nothing."""
    model = build_model(settings, VOCABULARY, seed, "cpu")
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if name.endswith(("merge.weight", "1.weight")):
            weight.data.normal_(std=0.5, generator=generator)
    return model.eval()


def windows(seed: int, n: int = 10) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    symbols = torch.randint(VOCABULARY, (n, LENGTH + 1), generator=generator)
    return symbols[:, :-1], symbols[:, 1:].clone()


def attend_prefix(self: Any, qk: Tensor, v: Tensor, config: LSHConfig, choices: Any) -> Tensor:
    """Attend by the paper's equations; what is missing to a whole window is padding at the end.

    It is hashed as a whole window is, and stands in a bucket of its own after all others.
    """
    length = qk.shape[-2]
    factors = config.hash_factors(LENGTH)
    rotations = draw_rotations(qk.shape[-1], factors, config.n_rounds, choices.generator())
    buckets = reference_buckets(qk, [rotation.to(qk) for rotation in rotations])
    missing = LENGTH - length
    rest = buckets.new_full((*buckets.shape[:-1], missing), math.prod(factors))
    padding = torch.ones(*qk.shape[:2], missing, qk.shape[-1], dtype=qk.dtype)
    whole = (torch.cat([x, padding], dim=2) for x in (qk, v))
    return reference_attention(*whole, torch.cat([buckets, rest], dim=-1), config)[..., :length, :]


def by_hand(whole: Tensor, alone: Tensor, targets: Tensor) -> dict[str, float]:
    """Compare logits (windows, ends, vocabulary) one position after the other."""
    of_windows = []
    for row in range(len(targets)):
        bits = [
            float(log_softmax(one[row, e], -1)[symbol] - log_softmax(other[row, e], -1)[symbol])
            for e, symbol in enumerate(targets[row].tolist())
            if symbol != IGNORED
            for one, other in [(whole, alone)]
        ]
        of_windows.append(sum(bits) / len(bits) / math.log(2))
    mean = sum(of_windows) / len(of_windows)
    variance = sum((x - mean) ** 2 for x in of_windows) / (len(of_windows) - 1)
    moved = (whole - alone).abs().amax(dim=-1).flatten().tolist()
    values = (
        mean,
        (variance / len(of_windows)) ** 0.5,
        sum(x > 1e-3 for x in moved) / len(moved),
        max(moved),
    )
    return dict(zip(NAMES, values, strict=True))


def of(found: dict[str, Any]) -> dict[str, float]:
    return {name: found[name] for name in NAMES}


@pytest.mark.parametrize("changes", [{}, {"n_rounds": 1}, {"chunks_before": 0}], ids=str)
def test_it_is_that_of_the_equations(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Each prefix is hashed as the whole window, and nothing of the future moves its chunks."""
    settings = replace(SETTINGS, **changes)
    model, (tokens, targets) = talkative(settings, 1).double(), windows(1)
    found = past_only.past_only(model, (tokens, targets), settings)
    assert found["n_windows"] == 8, "of ten"
    assert found["n_positions"] == 8 * 32

    chosen = [i * 10 // 8 for i in range(8)]
    tokens, targets = tokens[chosen], targets[chosen]
    ends = past_only.draw_ends(targets)
    whole = model(tokens)[:, ends]
    generated = model.past_only_logits(tokens)[:, ends]
    own = by_hand(whole, generated, targets[:, ends])
    assert of(found["own_hash"]) == pytest.approx(own, rel=1e-3, abs=2e-6)

    monkeypatch.setattr(SharedQKAttention, "_lsh", attend_prefix)
    alone = torch.stack([model(tokens[:, : e + 1])[:, -1] for e in ends], dim=1)
    expected = by_hand(model(tokens)[:, ends], alone, targets[:, ends])
    assert of(found) == pytest.approx(expected, rel=1e-3, abs=2e-6)
    assert 0 < expected["share_changed"] < own["share_changed"]
    assert abs(expected["bits_change"]) > 1e-5


@pytest.mark.parametrize("attention", ["sdpa", "naive", "local", "local+sdpa"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_nothing_changes_where_no_border_depends_on_the_future(
    attention: str, precision: str
) -> None:
    settings = replace(SETTINGS, attention=attention, shared_qk=True, precision=precision)
    found = past_only.past_only(talkative(settings, 2), windows(2), settings)
    assert "own_hash" not in found
    assert found["share_changed"] == 0
    assert 0 < found["largest_change"] < 1e-5, "rounding"
    assert abs(found["bits_change"]) < 1e-5


def test_the_positions_are_spread_and_the_same_for_all_models() -> None:
    _, targets = windows(3)
    ends = past_only.draw_ends(targets)
    assert ends == past_only.draw_ends(targets)
    assert [end // 2 for end in ends] == list(range(32)), "one in each of 32 equal parts"
    assert len({end % 2 for end in ends}) == 2, "at random in its part"
    targets[:, :40] = IGNORED
    assert past_only.draw_ends(targets) == list(range(40, 64))


def test_targets_that_no_loss_counts_do_not_count() -> None:
    """Windows count alike, whatever they hold, but for those that hold no target at all."""
    model, (tokens, targets) = talkative(SETTINGS, 4), windows(4, 3)
    targets[0, ::2] = IGNORED
    targets[1, :] = IGNORED
    found = past_only.past_only(model, (tokens, targets), SETTINGS)
    ends = past_only.draw_ends(targets)
    rows = [0, 2]
    whole = model(tokens[rows])[:, ends]
    alone = model.past_only_logits(tokens[rows])[:, ends]
    expected = by_hand(whole, alone, targets[rows][:, ends])
    for name in ("bits_change", "bits_error"):
        assert found["own_hash"][name] == pytest.approx(expected[name], rel=1e-3, abs=2e-6)
    assert abs(expected["bits_change"]) > 1e-5


def test_the_prediction_of_its_time_knows_how_much_is_evaluated() -> None:
    assert prediction.ANALYSED_WINDOWS["past only"] == past_only.WINDOWS * past_only.ENDS
