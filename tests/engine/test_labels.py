"""No two cases of a run have the same name, and names tell in what cases differ."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from suites.base import PRESETS
from suites.engine.sweep.planning import Asked, find_suites, make_plan
from suites.labels import Values, labels, telling_apart
from suites.settings import Settings


def test_no_two_cases_of_a_preset_have_one_name() -> None:
    for preset in PRESETS:
        plan = make_plan("x", Asked(preset=preset), find_suites())
        names = plan.labels()
        assert len(set(names.values())) == len(plan.entries)
        assert list(names) == list(plan.entries)


def test_names_tell_in_which_settings_equal_ones_differ() -> None:
    one, two = Settings(learning_rate=1e-3), Settings(learning_rate=3e-3)
    found = labels([one.measured(), two.measured(), Settings(length=64).measured()])
    assert found[0] == found[1].replace("0.003", "0.001")
    assert "learning rate 0.001" in found[0]
    assert found[2] == "LSH-4, bucket 32, chunk 64, length 64, 2 layers"
    (found,) = labels([Settings(measures=("time", "memory")).measured()], [("measures",)])
    assert found.endswith(", measures time and memory")
    dense = Settings(attention="sdpa", shared_qk=True, evaluate_rounds=(4,))
    for changes in ({"bucket_size": 8}, {"chunk_length": 32}):
        one, other = labels([dense.measured(), replace(dense, **changes).measured()])
        assert one == "sdpa, evaluated with bucket 32, chunk 64, length 1024, 2 layers"
        assert other not in (one, "sdpa, length 1024, 2 layers"), changes


def test_what_tells_cases_apart_is_chosen_once_for_all_of_one_label(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sweep names its cases before it starts: asked for each, the cost grows as n squared."""
    asked: list[int] = []

    def counted(alike: Sequence[Values]) -> list[str]:
        asked.append(len(alike))
        return telling_apart(alike)

    monkeypatch.setattr("suites.labels.telling_apart", counted)
    names = labels([Settings(d_ff=4 * i + 4, d_model=16).measured() for i in range(40)])
    assert len(set(names)) == 40
    assert asked == [40]
