"""The suites of the paper's figures 3 and 4 vary one thing, on text and on pictures."""

from typing import Any

import pytest

from suites.engine.sweep.planning import find_suites
from suites.settings import Settings
from suites.tasks.pictures import SIDE_OF_LENGTH

SUITES = find_suites()
TASKS = {
    "quick": ["enwiki-head", "photos64"],
    "cpu": ["enwiki-head", "photos64"],
    "paper": ["enwik8", "imagenet64"],
}
PICTURES = ("photos64", "imagenet64")


def settings_of(suite: str, preset: str) -> list[Settings]:
    return [case.settings for case in SUITES[suite].cases(preset)]


def differing(one: Settings, other: Settings) -> dict[str, tuple[Any, Any]]:
    """Return the settings with an effect on both that differ."""
    a, b = one.measured(), other.measured()
    return {name: (a[name], b[name]) for name in a.keys() & b.keys() if a[name] != b[name]}


@pytest.mark.parametrize("preset", TASKS)
@pytest.mark.parametrize(("suite", "usual"), [("shared_qk", True), ("reversible", False)])
def test_figure_3_varies_one_thing_of_full_attention_on_both_tasks(
    suite: str, usual: bool, preset: str
) -> None:
    found = settings_of(suite, preset)
    assert [s.task for s in found] == [task for task in TASKS[preset] for _ in range(2)]
    for one, other in (found[:2], found[2:]):
        assert one.attention == other.attention == "sdpa"
        changed = differing(one, other)
        changed.pop("learning_rate", None)
        assert changed == {suite: (usual, not usual)}
    # the base is the same in both: the dense Transformer, as published
    assert found[0].id == settings_of("shared_qk", preset)[0].id
    assert found[2].id == settings_of("shared_qk", preset)[2].id


@pytest.mark.parametrize("preset", ["quick", "cpu"])
def test_dense_models_of_text_and_pictures_are_those_of_other_suites(preset: str) -> None:
    text, _, pictures, _ = settings_of("shared_qk", preset)
    assert text.id in {s.id for s in settings_of("hash_rounds", preset)}
    assert pictures.id in {s.id for s in settings_of("hash_rounds_pictures", preset)}


@pytest.mark.parametrize("preset", TASKS)
def test_figure_4_varies_rounds_beside_local_and_full_attention(preset: str) -> None:
    *lsh, local, full = settings_of("hash_rounds_pictures", preset)
    rounds = [1, 4] if preset == "quick" else [1, 2, 4, 8, 16]
    assert [(s.attention, s.n_rounds) for s in lsh] == [("lsh", n) for n in rounds]
    assert all(differing(lsh[0], s).keys() <= {"n_rounds"} for s in lsh)
    assert (local.attention, full.attention, full.shared_qk) == ("local", "sdpa", True)
    assert {s.task for s in (*lsh, local, full)} == {TASKS[preset][1]}
    assert all(s.evaluate_rounds == (1, 2, 4, 8, 16, 0) for s in lsh)


@pytest.mark.parametrize("suite", ["shared_qk", "reversible", "hash_rounds_pictures"])
def test_curves_have_twelve_points_and_pictures_are_whole(suite: str) -> None:
    for preset in TASKS:
        for s in settings_of(suite, preset):
            if preset != "quick":
                assert s.train_steps // s.evaluate_every >= 12
                assert s.train_steps % s.evaluate_every == 0
            if s.task in PICTURES:
                side = SIDE_OF_LENGTH[s.length]
                assert s.axial_positions == (side, 3 * side)
                assert s.heldout_tokens % s.length == 0


def test_the_papers_pictures_have_the_papers_sizes() -> None:
    for s in settings_of("hash_rounds_pictures", "paper"):
        assert (s.length, s.n_layers, s.d_model, s.d_ff, s.n_heads) == (12288, 3, 1024, 4096, 8)
        assert s.dropout == 0.0
