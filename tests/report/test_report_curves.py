"""Learning curves stand over steps and over time, and who is ahead at equal time is true."""

import html
import json
import re
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from readable import figure_drawn_by
from synthetic import BASE, DENSE, make_record

from report.figures.learning_curves import draw_learning_curves, rows_of, spread_text
from report.reading.cases import CaseResult
from report.reading.curves import bits_at, lead_of, mean_curve, shortest_training_s
from report.reading.gathering import gather
from report.reading.leads import lead_finding, lead_text
from report.reading.view import view_of
from report.tables.curves_table import curves_table
from suites.base import grid
from suites.engine.store.records import Record, misfit_of_record
from suites.settings import Settings

STEPS = [100, 200, 300, 400]
OURS = replace(BASE, n_rounds=4)


def record_of(
    s: Settings, bits: list[float], step_s: float | None, seed: int = 0, suite: str = "hash_rounds"
) -> Record:
    """Make the record of a training with this curve, each step of which takes so many seconds."""
    (case,) = grid(s, length=[s.length])
    record = make_record(case, [suite], seed, np.random.default_rng(0))
    quality: dict[str, Any] = dict(record["quality"] or {})
    steps = np.linspace(STEPS[0], STEPS[-1], len(bits)).tolist()
    quality["curve"] = [list(point) for point in zip(steps, bits, strict=True)]
    quality["bits_per_dim"] = bits[-1]
    del quality["curve_s"]
    if step_s is not None:
        quality["curve_s"] = [step * step_s for step in steps]
    found: Record = json.loads(json.dumps({**record, "quality": quality}))
    return found


def case_of(s: Settings, curves: list[list[float]], step_s: float | None) -> CaseResult:
    """Make a case with a curve for each seed."""
    (case,) = gather([record_of(s, bits, step_s, seed) for seed, bits in enumerate(curves)])
    return case


def line(start: float, slope: float, n: int = len(STEPS)) -> list[float]:
    """Return bits that fall by so much a step, at n steps."""
    return [float(start - slope * step) for step in np.linspace(STEPS[0], STEPS[-1], n)]


def test_the_crossing_at_equal_time_is_where_two_lines_cross() -> None:
    """Ours takes 0.1 s a step, the other 0.2 s: bits are 4 - t / 40 and 3.5 - t / 160 + seed.

    They cross at t = 0.5 / (1 / 40 - 1 / 160) = 26.7 s; both were trained from 20 s to 40 s, ours
    evaluated at every second, the other at every second one.
    """
    noise = [0.0, 0.01, -0.01]
    ours = case_of(OURS, [line(4 + n, 0.1 / 40, 31) for n in noise], 0.1)
    other = case_of(DENSE, [line(3.5 + n, 0.2 / 160, 31) for n in noise], 0.2)
    lead = lead_of(ours, other)
    assert lead is not None
    assert lead.at_s == pytest.approx(40)
    assert 0 < lead.since_s - 0.5 / (1 / 40 - 1 / 160) < 2
    assert lead.difference.value == pytest.approx((4 - 1) - (3.5 - 0.25))
    # paired: the noise that seeds share leaves no interval
    assert lead.difference.high - lead.difference.low < 1e-9
    assert lead_text(lead, "dense").startswith("ahead of dense from 28 s on, after 40 s by 0.250")
    back = lead_of(other, ours)
    assert back is not None
    assert lead_text(back, "ours").startswith("behind ours from 28 s on, after 40 s by 0.250")


def test_who_is_ahead_at_all_times_and_who_not_visibly() -> None:
    noise = [0.0, 0.01, -0.01]
    ours = case_of(OURS, [line(4 + n, 0.001) for n in noise], 0.1)
    worse = case_of(DENSE, [line(4.2 + n, 0.001) for n in noise], 0.1)
    lead = lead_of(ours, worse)
    assert lead is not None
    assert isnan(lead.since_s)
    assert lead_text(lead, "dense").startswith("ahead of dense at all times, after 40 s by 0.200")
    unlike = case_of(DENSE, [line(4 + 3 * n, 0.001) for n in reversed(noise)], 0.1)
    lead = lead_of(ours, unlike)
    assert lead is not None
    assert not lead.is_visible
    assert lead_text(lead, "dense").startswith("not visibly different from dense after 40 s (")


def test_nobody_is_credited_with_what_an_evaluation_would_have_shown() -> None:
    """The other one was evaluated at 20 s and at 80 s; ours was done at 40 s.

    Between its evaluations the other one may have learnt all of it at once.
    """
    noise = [0.0, 0.01, -0.01]
    ours = case_of(OURS, [line(4 + n, 0.002) for n in noise], 0.1)  # ends at 3.2
    for bits, told in (
        ([4.2, 3.5], "ahead of dense at all times, after 40 s by at least 0.300 (0.300 to 0.300)"),
        ([3.9, 3.1], "not visibly different from dense after 40 s (-0.300, -0.700 to +0.100)"),
        ([3.1, 3.0], "behind dense at all times, after 40 s by at least 0.100 (0.100 to 0.100)"),
    ):
        curves = [[bits[0] + n, bits[1] + n, bits[1] + n] for n in noise]
        lead = lead_of(ours, case_of(DENSE, curves, 0.2))
        assert lead is not None
        assert lead_text(lead, "dense").startswith(told)


def test_one_seed_shows_no_difference() -> None:
    ours, other = case_of(OURS, [line(4, 0.001)], 0.1), case_of(DENSE, [line(5, 0.001)], 0.1)
    lead = lead_of(ours, other)
    assert lead is not None
    assert lead_text(lead, "dense") == (
        "not visibly different from dense after 40 s (-1.000, no interval)"
    )


def test_no_time_is_compared_that_not_both_were_trained() -> None:
    """The slowest seed has its first point later than the other model has its last."""
    ours, other = case_of(OURS, [line(4, 0.001)], 1.0), case_of(DENSE, [line(5, 0.001)], 0.1)
    assert lead_of(ours, other) is None
    assert bits_at(other, 5) is None
    for seconds, evaluated in ((15, 10), (50, 40)):
        found = bits_at(other, seconds)
        assert found is not None
        assert found.value == pytest.approx(5 - 0.01 * evaluated)
    assert shortest_training_s([ours, other]) == pytest.approx(40)


def test_curves_without_seconds_stand_over_steps_alone(tmp_path: Path) -> None:
    """Records from before seconds were kept stay valid; so a case whose seeds lack some."""
    records = [record_of(OURS, line(4, 0.001), None, seed) for seed in range(3)]
    records += [record_of(DENSE, line(4, 0.002), None if seed else 0.1, seed) for seed in range(3)]
    assert not any(map(misfit_of_record, records))
    view = view_of("hash_rounds", gather(records))
    draw_learning_curves(view, tmp_path)
    text = (tmp_path / "hash_rounds_curves.svg").read_text()
    assert "training steps" in text
    assert "training time" not in text
    assert curves_table(view) is None
    assert "equal training time" not in lead_finding(view)


@pytest.mark.parametrize("seconds", [[1.0], [1.0, 2.0, 3.0, 2.5], [0.0] * 5])
def test_seconds_that_are_not_of_the_curve_make_no_record(seconds: list[float]) -> None:
    record = record_of(OURS, line(4, 0.001), 0.1)
    assert misfit_of_record(record) == ""
    record["quality"]["curve_s"] = seconds  # type: ignore[index]
    assert "curve_s" in misfit_of_record(record)


def test_the_mean_curve_has_the_steps_of_all_seeds_and_their_interval() -> None:
    case = case_of(OURS, [line(4, 0.001), line(4.2, 0.001)], 0.1)
    first = mean_curve(case)[0]
    assert (first.step, first.seconds) == (100, pytest.approx(10))
    assert first.bits.value == pytest.approx(4.0)
    assert first.bits.low < 3.9 < 4.1 < first.bits.high


def test_table_and_title_say_who_is_ahead(tmp_path: Path) -> None:
    records = [record_of(OURS, line(4 + n, 0.0025), 0.1, i) for i, n in enumerate((0, 0.1, -0.1))]
    records += [
        record_of(DENSE, line(3.5 + n, 0.00125), 0.2, i) for i, n in enumerate((0, 0.1, -0.1))
    ]
    view = view_of("hash_rounds", gather(records))
    told = lead_finding(view)
    ends = "between LSH, 4 rounds and dense sdpa (3.000 bits per dim)"
    assert told.startswith(f"No visible difference after 400 steps {ends}"), told
    assert "at equal training time LSH, 4 rounds is ahead of dense sdpa after 40 s by 0.250" in told
    table = curves_table(view)
    assert table is not None
    rows = table.set_index("model")
    assert list(rows["training"]) == ["40 s", "80 s"]
    assert rows.loc["dense sdpa", "evaluated last within 40 s"].startswith("3.250")
    assert rows.loc["LSH, 4 rounds", "evaluated last within 40 s"].startswith("3.000")
    assert rows.loc["dense sdpa", "at equal time"] == ""
    draw_learning_curves(view, tmp_path)
    text = (tmp_path / "hash_rounds_curves.svg").read_text()
    slower = [record_of(OURS, line(4, 0.001), 0.1 * (1 + i), seed=i) for i in range(2)]
    assert spread_text(gather(slower)) == ", which differ by up to 2 times"
    assert spread_text(gather(slower[:1])) == ""
    for part in ("training steps", "training time (s)", "evaluations", "Bands: 95 %"):
        assert part in html.unescape(" ".join(re.findall(r">([^<>]+)</text>", text))), part


def test_changes_are_told_from_the_base_at_equal_time() -> None:
    behind, slow = replace(OURS, chunks_before=0), replace(OURS, within_bucket=False)
    noise, suite = (0, 0.1, -0.1), "attention_details"
    records = [
        record_of(s, line(start + n, 0.0025), step_s, i, suite)
        for s, start, step_s in ((slow, 4, 0.2), (OURS, 4, 0.1), (behind, 4.2, 0.1))
        for i, n in enumerate(noise)
    ]
    table = curves_table(view_of(suite, gather(records)))
    assert table is not None
    assert list(table["model"]) == ["base: LSH-4", "look-back 0", "across buckets"]
    base, one, other = table["at equal time"]
    assert base == ""
    assert one.startswith("behind base: LSH-4 at all times, after 40 s by 0.200 (")
    # after half of its steps it has 4 - 0.5, the base 4 - 1
    assert other.startswith("behind base: LSH-4 at all times, after 40 s by 0.500 (")


@pytest.mark.parametrize("suite", ["layers", "sequence_length"])
def test_rows_of_panels_have_the_same_axes(
    suite: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A title compares models that stand in different rows."""
    sizes: dict[str, list[int]] = (
        {"n_layers": [1, 4]} if suite == "layers" else {"length": [512, 4096]}
    )
    records = [
        make_record(case, [suite], seed, np.random.default_rng(seed))
        for model in (OURS, replace(DENSE, train_steps=400))
        for case in grid(model, **sizes)
        for seed in range(2)
    ]
    view = view_of(suite, gather(records))
    figure = figure_drawn_by(draw_learning_curves, view, monkeypatch, tmp_path)
    assert len(figure.axes) == 4
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    for column in (figure.axes[::2], figure.axes[1::2]):
        assert len({axes.get_xlim() for axes in column}) == 1
        for axes in column:
            low, high = axes.get_xlim()
            drawn = [x for one in axes.get_lines() for x in one.get_xdata()]
            assert low <= min(drawn) <= max(drawn) <= high


def test_layers_have_panels_of_their_own_for_each_model() -> None:
    """As in the paper's Figure 5 (left): one curve for each number of layers."""
    rng = np.random.default_rng(1)
    cases = [*grid(OURS, n_layers=[1, 2, 4]), *grid(DENSE, n_layers=[1, 2, 4])]
    records = [make_record(case, ["layers"], seed, rng) for case in cases for seed in range(2)]
    rows = rows_of(view_of("layers", gather(records)))
    assert {name: len(named) for name, named in rows.items()} == {"LSH-4": 3, "dense sdpa": 3}
    by_length = [
        make_record(case, ["sequence_length"], 0, rng) for case in grid(OURS, length=[512, 1024])
    ]
    assert list(rows_of(view_of("sequence_length", gather(by_length)))) == [
        "length 512",
        "length 1024",
    ]


@pytest.mark.parametrize(
    ("dense", "eight", "says"),
    [
        ((1, -1, 0.5), (), "No visible difference after 400 steps between"),
        ((0.5, 0.6, 0.4), (), "Lowest: after 400 steps LSH, 4 rounds (3.000 bits per dim);"),
        ((0.5, 0.6, 0.4), (0.01, -0.02, 0.02), ", no visible difference from LSH, 8 rounds;"),
    ],
)
def test_a_model_ends_lowest_only_if_the_seeds_agree(
    dense: tuple[float, ...], eight: tuple[float, ...], says: str
) -> None:
    """As the title of the figure of quality has it, of the same trainings."""
    models = [(OURS, (0.0, 0.0, 0.0)), (DENSE, dense), (replace(OURS, n_rounds=8), eight)]
    records = [
        record_of(model, line(4 + n, 0.0025), 0.1, seed)
        for model, ends in models
        for seed, n in enumerate(ends)
    ]
    told = lead_finding(view_of("hash_rounds", gather(records)))
    assert says in told, told
