"""A suite gets one figure per measure, and further ones where its cases allow.

No torch.
"""

from pathlib import Path

from report.figures.categories import draw_categories
from report.figures.evaluated_with import draw_evaluated_with
from report.figures.learning_curves import draw_learning_curves
from report.figures.memory import draw_memory
from report.figures.paper_figure_5 import draw_paper_figure_5
from report.figures.quality import draw_quality
from report.figures.style import own_settings
from report.figures.time import draw_time
from report.reading.curves import curves_of
from report.reading.measures import MEASURES
from report.reading.series import View
from report.tables.evaluated_with_table import are_evaluated


def draw_suite(view: View, folder: Path) -> list[Path]:
    """Draw all figures of a suite as PNG and SVG, for whatever it measured; return their paths.

    Cases that failed make a figure too, even if no case was measured.
    """
    paths = []
    with own_settings():
        for measure, draw in (
            ("time", draw_time),
            ("memory", draw_memory),
            ("quality", draw_quality),
        ):
            asked = any(measure in (case.settings.get("measures") or ()) for case in view.cases)
            if asked or any(MEASURES[measure](case) is not None for case in view.cases):
                as_names = bool(view.categories)
                paths += draw_categories(view, folder, measure) if as_names else draw(view, folder)
        if are_evaluated(view.cases):
            paths += draw_evaluated_with(view, folder)
        if any(curves_of(case) for case in view.cases):
            paths += draw_learning_curves(view, folder)
        attention = [case for case in view.cases if case.settings.get("subject") == "attention"]
        tokens = {case.settings["batch"] * case.settings["length"] for case in attention}
        if len(tokens) == 1 and any(case.time("forward") for case in attention):
            paths += draw_paper_figure_5(view, folder)
    return paths
