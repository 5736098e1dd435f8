"""Table 2's models in buckets of several sizes: a panel a row of the table, a line a size."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text
from readable import figure_drawn_by, require_readable
from synthetic import make_record

from report import paper
from report.figures import evaluated_in_buckets as in_buckets
from report.figures import quality
from report.figures.looks import LSH, SDPA
from report.reading.cases import CaseResult
from report.reading.gathering import gather
from report.reading.series import View, lines
from report.reading.view import view_of
from report.tables.cases_table import suite_table
from report.tables.evaluated_with_table import rounds_note, rounds_table
from suites.base import make_case
from suites.evaluations import evaluations
from suites.settings import Settings

BASE = Settings(
    task="duplication",
    n_layers=1,
    shared_qk=True,
    measures=("quality",),
    evaluate_rounds=(1, 2, 4, 8, 0),
    evaluate_as=("with itself", "standard", "across buckets"),
)
DENSE = replace(BASE, attention="sdpa", unit_keys=False, attend_self=True)
# Accuracy of a model, evaluated as it was trained, by its hash rounds and the size of its buckets.
OF_BUCKETS = {(2, 32): 0.99, (2, 8): 0.91, (1, 32): 0.96, (1, 16): 0.88, (1, 8): 0.71}
ROUNDS = (8, 4, 2, 1)


def accuracy(n_rounds: int, size: int, evaluated: str) -> float:
    """Return the accuracy of all seeds of a model; 0 rounds are full attention."""
    own = OF_BUCKETS[n_rounds, size] if n_rounds else size / 40
    words = len(evaluated) if not evaluated.isdigit() else int(evaluated)
    return own if evaluated == str(n_rounds) else own * (1 - 0.03 * words)


def view_of_buckets(among: Sequence[tuple[int, int]] = tuple(OF_BUCKETS)) -> View:
    rng = np.random.default_rng(7)
    found = []
    for n_rounds, size in map(tuple, rng.permutation(np.array(among)).tolist()):
        base = replace(BASE, n_rounds=n_rounds, train_steps=4000 // n_rounds) if n_rounds else DENSE
        settings = replace(base, bucket_size=size)
        for seed in range(3):
            record: Any = make_record(make_case(settings), ["duplication_buckets"], seed, rng)
            record["quality"]["evaluated_with"] = {
                name: {
                    "bits_per_dim": float(rng.uniform(0.1, 0.2)),
                    "accuracy": accuracy(n_rounds, size, name),
                    "bucket_size": size,
                    "chunk_length": 2 * size,
                }
                for name in evaluations(settings)
            }
            found.append(record)
    return view_of("duplication_buckets", gather(found))


def test_buckets_of_several_sizes_are_told_in_each_row_and_the_note() -> None:
    cases = view_of_buckets().cases
    table = rounds_table(cases).set_index("trained with (accuracy in %)")
    papers = [f"{name} ({paper.NAME})" for name in ("LSH-2", "LSH-1")]
    twos = ["LSH-2, bucket 32", "LSH-2, bucket 8"]
    ones = ["LSH-1, bucket 32", "LSH-1, bucket 16", "LSH-1, bucket 8"]
    assert list(table.index) == [*twos, papers[0], *ones, papers[1]]
    assert table.loc["LSH-1, bucket 8", "LSH-1"].startswith("71.0 +-")
    note = rounds_note(cases)
    assert "buckets and chunks of the size it was trained with" in note
    assert "All LSH attention here has" not in note


def test_the_finding_is_what_small_buckets_do_to_the_fewest_rounds() -> None:
    assert in_buckets.buckets_finding(view_of_buckets().cases) == (
        "Evaluated with LSH-1: trained with LSH-1, 96.0 % right in buckets of 32, 71.0 % in "
        "buckets of 8 (nearer to the paper's 77.9 %); trained with LSH-2, 96.0 % right in buckets "
        "of 32, 88.3 % in buckets of 8 (nearer to the paper's 86.8 %)"
    )
    # a run that is not finished: the fewest rounds of which there are several sizes
    partly = in_buckets.buckets_finding(view_of_buckets([(2, 32), (2, 8), (1, 8)]).cases)
    assert "trained with LSH-2, 99.0 % right in buckets of 32, 91.0 % in buckets of 8 (" in partly
    assert in_buckets.buckets_finding(view_of_buckets([(2, 32), (1, 8)]).cases) == ""


DENSE_TOO = ((0, 8), (0, 32), *OF_BUCKETS)


def test_a_panel_is_a_row_of_table_2_and_a_line_a_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figure = figure_drawn_by(
        in_buckets.draw_evaluated_in_buckets, view_of_buckets(DENSE_TOO), monkeypatch, tmp_path
    )
    rows = {"full": (0, [32, 8]), "LSH-2": (2, [32, 8]), "LSH-1": (1, [32, 16, 8])}
    titles = [axes.get_title().split("\n") for axes in figure.axes]
    assert [first for first, *_ in titles] == [f"trained with {row}" for row in rows]
    # full attention is trained without any
    assert [more for _, *more in titles] == [["(buckets in evaluation alone)"], [], []]
    looks = {}
    for axes, (row, (n_rounds, sizes)) in zip(figure.axes, rows.items(), strict=True):
        [hollow] = [found for found in axes.collections if found.get_label() == paper.NAME]
        told = paper.TABLE_2[row.removeprefix("LSH-")]
        assert [y for _, y in hollow.get_offsets()] == [told[str(r)] for r in ROUNDS]
        names = [container.get_label() for container in axes.containers]
        assert names == [f"buckets of {size}" for size in sizes]
        for container, size in zip(axes.containers, sizes, strict=True):
            line = container[0]
            looks.setdefault(size, set()).add((line.get_marker(), line.get_linestyle()))
            known = [LSH[n_rounds]] if n_rounds else SDPA.values()
            assert line.get_color() in {look.colour for look in known}, "no paler one"
            expected = [100 * accuracy(n_rounds, size, str(r)) for r in ROUNDS]
            assert list(container[0].get_ydata()) == pytest.approx(expected)
    assert all(len(found) == 1 for found in looks.values())
    assert len({*map(tuple, looks.values())}) == len(looks) == 3


def test_table_2_stands_beside_models_evaluated_as_they_were_trained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    view = view_of_buckets()
    told = [paper.TABLE_2[n][n] for n in ("1", "2")]
    [axes] = figure_drawn_by(quality.draw_quality, view, monkeypatch, tmp_path).axes
    levels = [line.get_ydata()[0] for line in axes.get_lines() if len({*line.get_ydata()}) == 1]
    assert {*told} <= {*levels}
    assert axes.get_ylim()[0] < min(told), "they are on the axis"
    cases = [case for case in view.cases if case.settings.get("bucket_size") == 8]
    over_rounds = view_by_rounds(cases)
    [axes] = figure_drawn_by(quality.draw_quality, over_rounds, monkeypatch, tmp_path).axes
    points = {
        (float(x), y) for line in axes.get_lines() for x, y in zip(*line.get_data(), strict=True)
    }
    assert {(1.0, told[0]), (2.0, told[1])} <= points
    assert axes.get_ylim()[0] < min(told)


def view_by_rounds(cases: Sequence[CaseResult]) -> View:
    by_rounds = tuple(lines(cases, "n_rounds"))
    return replace(view_of("duplication_buckets", cases), varies="n_rounds", series=by_rounds)


def test_no_text_stands_on_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figure = figure_drawn_by(
        in_buckets.draw_evaluated_in_buckets, view_of_buckets(DENSE_TOO), monkeypatch, tmp_path
    )
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    assert len(texts) > 20
    require_readable(figure, texts)


def test_it_is_drawn_where_sizes_differ(tmp_path: Path) -> None:
    assert in_buckets.has_bucket_sizes(view_of_buckets())
    assert not in_buckets.has_bucket_sizes(view_of_buckets([(2, 32), (1, 8)]))


def test_no_two_rows_of_the_cases_have_one_name() -> None:
    """Older records of full attention do not have the buckets that evaluated it as settings."""
    shown = view_of_buckets([(2, 8), (2, 32), (0, 8), (0, 32)]).cases
    records = [record for case in shown for record in case.records]
    for record in records:
        if record["settings"]["attention"] == "sdpa" and record["settings"]["bucket_size"] == 32:
            for name in ("bucket_size", "chunk_length"):
                del record["settings"][name]
    names = list(suite_table(gather(records))["model"])
    assert len({*names}) == 4
    assert sorted(name for name in names if "dense" in name) == [
        "dense sdpa, evaluated in buckets of 32",
        "dense sdpa, evaluated in buckets of 8",
    ]
