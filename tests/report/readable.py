"""What a figure says can be read where no text is cut off and none stands on another."""

from collections.abc import Iterable
from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.text import Text


def require_readable(figure: Figure, texts: Iterable[Text]) -> None:
    """Fail if one of these texts leaves the figure, which was drawn, or stands on another."""
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    width, height = figure.canvas.get_width_height()
    for words, box in boxes:
        assert 0 <= box.x0 <= box.x1 <= width, f"{words!r} is cut off"
        assert 0 <= box.y0 <= box.y1 <= height, f"{words!r} is cut off"
    for (one, a), (two, b) in combinations(boxes, 2):
        assert one == two or not a.overlaps(b), f"{one!r} stands on {two!r}"
