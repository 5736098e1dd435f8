"""Panels of a figure have log axes all or none, and a paper gets its figures as it sets them."""

import re
from pathlib import Path
from typing import Any

import pytest
from synthetic import write_lines

from report.figures import memory
from report.figures.style import PAPER_WIDTH, own_settings
from report.page.page import write_report
from report.reading.gathering import gather
from report.reading.view import view_of
from suites.engine.store.records import Record

POINTS = 72  # in an inch


@pytest.mark.parametrize("suite", ["sequence_length", "hash_rounds", "bucket_size", "layers"])
def test_panels_have_log_axes_all_or_none(
    records: list[Record], suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(memory, "save", lambda figure, *_: drawn.append(figure) or [])
    with own_settings():
        memory.draw_memory(view_of(suite, gather(records)), tmp_path)
    scales = [axes.get_yscale() for axes in drawn[0].axes]
    assert len(scales) == 2
    assert len(set(scales)) == 1, scales


def test_figures_for_a_paper_are_as_wide_as_its_text(records: list[Record], tmp_path: Path) -> None:
    write_lines(tmp_path, [record for record in records if record["suites"] == ["layers"]])
    paths = write_report(tmp_path, style="paper").paths
    for_paper = [path for path in paths if path.parent.name == "figures-paper"]
    beside = {path.stem for path in paths if path.parent.name == "figures"}
    assert {path.name for path in for_paper} == {f"{name}.pdf" for name in beside}
    for path in for_paper:
        content = path.read_bytes()
        (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
        assert 0.7 * PAPER_WIDTH <= float(box[0]) / POINTS <= 1.05 * PAPER_WIDTH
        title = (tmp_path / "figures" / f"{path.stem}.pdf").read_bytes()
        assert len(content) < len(title), "its title and caption are left out"
