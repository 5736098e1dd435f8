"""What the figures of every suite say can be read: no text is cut off, none stands on another."""

import numpy as np
import pytest
from matplotlib.axis import Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from readable import require_readable
from synthetic import make_record

from report.figures.of_suite import draw_suite
from report.figures.style import own_settings
from report.reading.cases import kind_of
from report.reading.gathering import gather
from report.reading.view import views_of
from suites.engine.sweep.planning import find_suites

SUITES = find_suites()


def figures_of(name, monkeypatch, folder):
    """Draw all figures of a suite at `cpu`, its peers left out, of records that are made up."""
    drawn = {}
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.update({id(self): self}))
    rng = np.random.default_rng(1)
    records = [
        make_record(case, [name], seed, rng)
        for case in SUITES[name].cases("cpu")
        for seed in range(3)
        if kind_of(case.settings.measured()) != "peer"
    ]
    for view in views_of(name, gather(records)):
        draw_suite(view, folder)
    for figure in drawn.values():
        with own_settings():
            FigureCanvasAgg(figure).draw()
    return list(drawn.values())


@pytest.mark.parametrize("name", SUITES)
def test_all_that_a_figure_says_can_be_read(name, monkeypatch, tmp_path):
    figures = figures_of(name, monkeypatch, tmp_path)
    assert figures
    for figure in figures:
        # of ticks, those beyond the axes are there and not drawn
        ticks = {id(text) for tick in figure.findobj(Tick) for text in tick.findobj(Text)}
        texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
        texts = [t for t in texts if id(t) not in ticks]
        require_readable(figure, texts)
