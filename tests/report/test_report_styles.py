"""Panels of a figure have log axes all or none, and a paper gets its figures as it sets them."""

import re
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from readable import figure_drawn_by, require_readable
from synthetic import write_lines

from report.figures import memory, of_suite, quality, time
from report.figures.categories import value_axis
from report.figures.style import PAPER_WIDTH, for_paper, new_figure
from report.page.page import write_report
from report.reading.gathering import gather
from report.reading.series import level
from report.reading.view import view_of
from report.text import any_of_text
from suites.engine.store.records import Record

POINTS = 72  # in an inch


@pytest.mark.parametrize("suite", ["sequence_length", "hash_rounds", "bucket_size", "layers"])
def test_panels_have_log_axes_all_or_none(
    records: list[Record], suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = view_of(suite, gather(records))
    figure = figure_drawn_by(memory.draw_memory, view, monkeypatch, tmp_path)
    scales = [axes.get_yscale() for axes in figure.axes]
    assert len(scales) == 2
    assert len(set(scales)) == 1, scales


def test_figures_for_a_paper_are_as_wide_as_its_text(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str] = []
    saved = Figure.savefig

    def savefig(figure: Figure, path: Path, **how: Any) -> None:
        if path.parent.name == "figures-paper":
            words.extend(text.get_text() for text in figure.texts if text.get_visible())
        saved(figure, path, **how)

    monkeypatch.setattr(Figure, "savefig", savefig)
    write_lines(tmp_path, [record for record in records if record["suites"] == ["layers"]])
    paths = write_report(tmp_path, style="paper").paths
    for_paper = [path for path in paths if path.parent.name == "figures-paper"]
    beside = {path.stem for path in paths if path.parent.name == "figures"}
    assert {path.name for path in for_paper} == {f"{name}.pdf" for name in beside}
    for path in for_paper:
        content = path.read_bytes()
        (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
        assert 0.7 * PAPER_WIDTH <= float(box[0]) / POINTS <= 1.05 * PAPER_WIDTH
        assert b"/CIDFontType2" in content or b"/TrueType" in content
        assert b"/Type3" not in content, "publishers refuse such fonts"
    assert for_paper
    assert words == [], "title and caption are left out"


@pytest.mark.skipif(sys.platform != "linux", reason="drawn in turn")
@pytest.mark.parametrize(
    ("style", "kinds"), [(nullcontext, {".png", ".svg", ".pdf"}), (for_paper, {".pdf"})]
)
def test_suites_drawn_at_the_same_time_give_the_same_files(
    records: list[Record], style: Any, kinds: set[str], tmp_path: Path, monkeypatch: Any
) -> None:
    cases = gather(records)
    views = [view_of(name, cases) for name in ("layers", "bucket_size", "hash_rounds")]
    drawn = {}
    for n_cores in (1, 2):
        monkeypatch.setattr(of_suite, "available_cores", lambda n=n_cores: n)
        with style():
            found = of_suite.draw_suites(views, tmp_path / str(n_cores))
        drawn[n_cores] = [{path.name: path.read_bytes() for path in paths} for paths in found]
    assert drawn[1] == drawn[2]
    assert all({Path(name).suffix for name in files} == kinds for files in drawn[1])


def test_a_suite_that_cannot_be_drawn_says_so_from_another_process(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = [view_of(name, gather(records)) for name in ("layers", "bucket_size")]
    monkeypatch.setattr(of_suite, "available_cores", lambda: 2)
    with pytest.raises(ValueError, match="has no plain name"):
        of_suite.draw_suites([views[0], replace(views[1], name="../x")], tmp_path)


def test_the_only_line_over_the_axis_stands_on_its_ticks(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Levels, to which the axis does not apply, do not push it aside."""
    view = view_of("hash_rounds", gather(records))
    assert [line.on_axis for line in view.series] == [True, False]
    [axes] = figure_drawn_by(quality.draw_quality, view, monkeypatch, tmp_path).axes
    assert any([*line.get_xdata()] == view.x_values for line in axes.get_lines())


def test_log_axes_say_so_and_captions_separate_thousands(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = [
        {**r, "settings": {**r["settings"], "train_steps": 1200 if r["seed"] else 200}}
        for r in records
    ]
    for draw, label in ((time.draw_time, "time per"), (memory.draw_memory, "peak memory")):
        view = view_of("sequence_length", gather(records))
        axes = figure_drawn_by(draw, view, monkeypatch, tmp_path).axes[0]
        assert axes.get_yscale() == axes.get_xscale() == "log"
        assert axes.get_ylabel().startswith(label)
        assert axes.get_ylabel().endswith(", log")
        assert axes.get_xlabel() == "sequence length (tokens), log"
    steps = [gather([r for r in longer if r["seed"] == seed])[:1] for seed in (0, 1)]
    view = replace(view, series=tuple(level(str(i), one) for i, [one] in enumerate(steps)))
    assert "After 200 or 1,200 training steps" in quality.quality_note(view)
    assert any_of_text([800, 1000, 1800]) == "800, 1,000 or 1,800"
    short = {"first_steps": 1200, "first_length": 64}
    told = quality.steps_text([{"train_steps": steps, **short} for steps in (1800, 1275)])
    assert told == "After 1,275 or 1,800 training steps, the last 75 or 600 on more than 64 tokens."


def test_names_of_trivial_models_stand_free(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that are nearly alike have one text; that of one below all else is under its line."""
    view = view_of("hash_rounds", gather(records))
    near = {"one": 3.40, "other": 3.41, "below": 2.9}
    monkeypatch.setattr(quality, "references_of", lambda *_: near)
    [axes] = figure_drawn_by(quality.draw_quality, view, monkeypatch, tmp_path).axes
    texts = {text.get_text(): text for text in axes.texts}
    assert set(texts) == {"one: 3.40; other: 3.41", "below: 2.90"}
    line = axes.transData.transform((1, 2.9))[1]
    box = texts["below: 2.90"].get_window_extent()
    assert axes.bbox.y0 <= box.y0 < box.y1 <= line


def test_a_log_axis_of_categories_has_labels_in_each_decade() -> None:
    figure, [axes, _] = new_figure(2)
    value_axis(axes, [15.0, 5000.0], from_zero=True)
    FigureCanvasAgg(figure).draw()
    shown = [label for label in axes.get_xticklabels() if label.get_text()]
    shown = [label for label in shown if 15 <= label.get_position()[0] <= 5000]
    assert [label.get_text() for label in shown] == ["30", "100", "300", "1,000", "3,000"]
    require_readable(figure, shown)
