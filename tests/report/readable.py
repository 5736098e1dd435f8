"""What a figure says can be read where no text is cut off and none stands on another."""

from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from report.figures.style import own_settings

Found = TypeVar("Found")


def figure_drawn_by(
    draw: Callable[[Found, Path], Any], found: Found, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> Figure:
    """Return the figure that a function would save, drawn."""
    drawn: list[Figure] = []
    monkeypatch.setattr(f"{draw.__module__}.save", lambda figure, *_: drawn.append(figure) or [])
    with own_settings():
        draw(found, folder)
        FigureCanvasAgg(drawn[0]).draw()
    return drawn[0]


def require_readable(figure: Figure, texts: Iterable[Text]) -> None:
    """Fail if one of these texts leaves the figure, which was drawn, or stands on another."""
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    width, height = figure.canvas.get_width_height()
    for words, box in boxes:
        assert 0 <= box.x0 <= box.x1 <= width, f"{words!r} is cut off"
        assert 0 <= box.y0 <= box.y1 <= height, f"{words!r} is cut off"
    for (one, a), (two, b) in combinations(boxes, 2):
        assert one == two or not a.overlaps(b), f"{one!r} stands on {two!r}"
