"""Panels of a figure have log axes all or none, and a paper gets its figures as it sets them."""

import re
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from readable import figure_drawn_by
from synthetic import write_lines

from report.figures import memory, of_suite
from report.figures.style import PAPER_WIDTH, for_paper
from report.page.page import write_report
from report.reading.gathering import gather
from report.reading.view import view_of
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
