"""Trained models stand in rows, what they are evaluated with in columns, as in Table 2."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text
from readable import figure_drawn_by, require_readable
from synthetic import make_record

from report import paper
from report.figures import evaluated_with, looks
from report.page.sections import tables_of
from report.reading.gathering import gather
from report.reading.series import View
from report.reading.view import view_of
from report.tables.evaluated_with_table import rounds_note, rounds_table
from suites.base import make_case
from suites.evaluations import evaluations
from suites.settings import Settings

WAYS = ("with itself", "standard", "across buckets")
BASE = Settings(
    task="duplication",
    n_layers=1,
    shared_qk=True,
    measures=("quality",),
    evaluate_rounds=(1, 2, 4, 8, 0),
    evaluate_as=WAYS,
)
ACROSS = {"within_bucket": False, "correct_duplicates": False}
FULL = replace(BASE, attention="sdpa", train_steps=50)
STANDARD = replace(FULL, unit_keys=False, attend_self=True)
# By the name that a row must have, in the order in which rows must stand.
TRAINED = {
    "full, standard": STANDARD,
    "full, not itself": FULL,
    "LSH-4": BASE,
    "LSH-4, across buckets": replace(BASE, **ACROSS),
    "LSH-1": replace(BASE, n_rounds=1),
    "LSH-1, across buckets": replace(BASE, n_rounds=1, **ACROSS),
}
FULL_COLUMNS = ["full, standard", "full, itself too", "full, not itself"]
LSH = ["LSH-8", "LSH-4", "LSH-2", "LSH-1"]
COLUMNS = [*FULL_COLUMNS, *LSH, *(f"{name}, across buckets" for name in LSH)]
IN_RECORDS = {
    "full, standard": "full standard",
    "full, itself too": "full with itself",
    "full, not itself": "full",
    **{f"LSH-{r}": str(r) for r in (1, 2, 4, 8)},
    **{f"LSH-{r}, across buckets": f"{r} across buckets" for r in (1, 2, 4, 8)},
}
TRUTH = np.random.default_rng(5).uniform(0.2, 0.9, (len(TRAINED), len(COLUMNS)))


def records(trained: dict[str, Settings], rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Make three seeds of each, whose accuracies differ from TRUTH by about 0.001."""
    names = list(TRAINED)
    for name in rng.permutation(list(trained)):
        settings = trained[name]
        for seed in range(3):
            record: Any = make_record(make_case(settings), ["duplication"], seed, rng)
            found = {}
            for column, recorded in IN_RECORDS.items():
                if settings.within_bucket is False and "LSH" in column:
                    is_across = "across" in column
                    recorded = recorded.removesuffix(" across buckets") if is_across else ""
                if recorded not in evaluations(settings):
                    continue
                truth = TRUTH[names.index(name), COLUMNS.index(column)]
                found[recorded] = {
                    "bits_per_dim": float(truth + rng.normal(0, 0.001)),
                    "accuracy": float(truth + rng.normal(0, 0.001)),
                    "bucket_size": 32,
                    "chunk_length": 64,
                }
            assert found.keys() == evaluations(settings).keys()
            record["quality"]["evaluated_with"] = found
            yield record


def view(trained: dict[str, Settings] = TRAINED, **changes: Any) -> View:
    changed = {name: replace(settings, **changes) for name, settings in trained.items()}
    return view_of("duplication", gather(records(changed, np.random.default_rng(6))))


def test_each_cell_is_of_its_row_and_column() -> None:
    table = rounds_table(view().cases).set_index("trained with (accuracy in %)")
    assert list(table.columns) == ["steps", *COLUMNS]
    for i, (name, settings) in enumerate(TRAINED.items()):
        assert table.loc[name, "steps"] == str(settings.train_steps)
        for j, column in enumerate(COLUMNS):
            cell = table.loc[name, column]
            if not settings.within_bucket and column in LSH:
                assert cell == "", "it was trained and evaluated across buckets alone"
                continue
            value, half = map(float, cell.split(" +- "))
            assert abs(value - 100 * TRUTH[i, j]) < max(half, 0.3)


def test_the_papers_row_stands_under_those_of_the_same_attention() -> None:
    table = rounds_table(view().cases).set_index("trained with (accuracy in %)")
    papers = [f"{name} ({paper.NAME})" for name in ("full", "LSH-4", "LSH-1")]
    rows = list(TRAINED)
    assert list(table.index) == [*rows[:2], papers[0], *rows[2:4], papers[1], *rows[4:], papers[2]]
    row = table.loc[papers[1]]
    assert row["steps"] == "150,000"
    told = {column: cell for column, cell in row.items() if cell}
    assert told == {
        "steps": "150,000",
        "full, standard": "0.8",
        "LSH-8": "100.0",
        "LSH-4": "99.9",
        "LSH-2": "99.4",
        "LSH-1": "91.9",
    }


def test_of_text_it_is_bits_per_dim_and_nothing_of_the_paper() -> None:
    lsh = {name: TRAINED[name] for name in ("LSH-4", "LSH-1")}
    cases = view(lsh, task="enwiki-head", evaluate_as=WAYS).cases
    table = rounds_table(cases).set_index("trained with (bits per dim)")
    assert (list(table.index), list(table.columns)) == (["LSH-4", "LSH-1"], COLUMNS)
    assert len(table.loc["LSH-4", "LSH-8"].split(" +- ")[0]) == len("0.123")
    assert paper.NAME not in rounds_note(cases)


def test_the_note_says_what_each_column_means_and_no_more() -> None:
    note = rounds_note(view().cases)
    for words in (*FULL_COLUMNS, "LSH-r", "across buckets", "buckets of 32 and chunks of 64"):
        assert words in note
    lsh = {name: TRAINED[name] for name in ("LSH-4", "LSH-1")}
    found = view(lsh, evaluate_as=()).cases
    assert list(rounds_table(found).columns)[1:] == ["full, not itself", *LSH]
    note = rounds_note(found)
    assert "full, not itself" in note
    for words in ("full, standard", "itself too", "across"):
        assert words not in note
    assert rounds_note(view().cases) in [note for _, _, note in tables_of(view())]


def test_what_was_trained_across_buckets_has_a_panel_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of each family in a panel no line is paler than it is elsewhere."""
    figure = figure_drawn_by(evaluated_with.draw_evaluated_with, view(), monkeypatch, tmp_path)
    names = [axes.get_legend_handles_labels()[1] for axes in figure.axes]
    within, across = ([n for n in found if "LSH" in n] for found in names)
    assert within == ["trained with LSH-4", "trained with LSH-1"]
    assert across == [f"{name}, across buckets" for name in within]
    for axes in figure.axes:
        colours = {c.get_label(): c[0].get_color() for c in axes.containers if c.get_label()}
        of_lsh = [colour for name, colour in colours.items() if "LSH" in name]
        assert of_lsh == [looks.LSH[4].colour, looks.LSH[1].colour]
    told = {text.get_text() for text in figure.legends[0].get_texts()}
    assert len(told) == len(TRAINED) + 1


@pytest.mark.parametrize("task", ["duplication", "enwiki-head"])
def test_no_text_stands_on_another(
    task: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figure = figure_drawn_by(
        evaluated_with.draw_evaluated_with, view(task=task), monkeypatch, tmp_path
    )
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    assert len(texts) > 25
    require_readable(figure, texts)


def test_the_title_is_what_full_attention_makes_of_lsh(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figure = figure_drawn_by(evaluated_with.draw_evaluated_with, view(), monkeypatch, tmp_path)
    title = " ".join(figure.texts[0].get_text().split())
    row = rounds_table(view().cases).set_index("trained with (accuracy in %)").loc["LSH-4"]
    alone, standard = (
        row[name].split(" +- ")[0] for name in ("full, not itself", "full, standard")
    )
    assert title == (
        f"Trained with LSH-4, evaluated with full attention: {alone} % right where no position "
        f"attends to itself, {standard} % with the standard one (in the paper 0.8 %)"
    )
