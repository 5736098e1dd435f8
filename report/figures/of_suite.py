"""A suite gets one figure per measure, and further ones where its cases allow.

No torch.
"""

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

from report.figures.angular_hashing import draw_angular_hashing
from report.figures.attention_mass import draw_attention_mass
from report.figures.attention_patterns import draw_attention_patterns
from report.figures.categories import draw_categories
from report.figures.changes import draw_changes
from report.figures.evaluated_in_buckets import draw_evaluated_in_buckets, has_bucket_sizes
from report.figures.evaluated_with import draw_evaluated_with
from report.figures.learning_curves import draw_learning_curves
from report.figures.memory import draw_memory
from report.figures.paper_figure_5 import draw_paper_figure_5
from report.figures.quality import draw_quality
from report.figures.style import own_settings
from report.figures.time import draw_time
from report.reading.analyses import analysed, analysis_of
from report.reading.cases import tokens_at_once
from report.reading.curves import curves_of
from report.reading.measures import MEASURES, is_told
from report.reading.series import View
from report.tables.evaluated_with_table import are_evaluated
from suites.engine.host import available_cores


def draw_suites(views: Sequence[View], folder: Path) -> list[list[Path]]:
    """Draw all figures of several suites; return their paths, by suite."""
    with drawing(views, folder) as drawn:
        return list(drawn)


@contextmanager
def drawing(views: Sequence[View], folder: Path) -> Iterator[Iterator[list[Path]]]:
    """Draw the figures of several suites, of one on each core, while the caller does other things.

    Gives an iterator of their paths, by suite. Nothing but Linux forks a process safely that draws:
    elsewhere they are drawn in turn.
    """
    n_processes = min(available_cores(), len(views))
    if n_processes < 2 or sys.platform != "linux":
        yield (draw_suite(view, folder) for view in views)
        return
    with ProcessPoolExecutor(n_processes, multiprocessing.get_context("fork")) as pool:
        yield pool.map(draw_suite, views, repeat(folder))


def draw_suite(view: View, folder: Path) -> list[Path]:
    """Draw all figures of a suite as PNG and SVG, for whatever it measured; return their paths.

    Cases that failed make a figure too, even if no case was measured. A suite of changes has one
    figure in the place of those over an axis.
    """
    paths = []
    with own_settings():
        paths += draw_over_axis(view, folder) if view.varies else draw_changes(view, folder)
        if view.varies and analysed(view, "attention mass"):
            paths += draw_attention_mass(view, folder)
        for case in analysed(view, "head")[:1]:
            head = analysis_of(case, "head")[0]
            paths += draw_angular_hashing(view, case, head, folder)
            paths += draw_attention_patterns(view, case, head, folder)
        if are_evaluated(view.cases):
            by_size = has_bucket_sizes(view)
            draw = draw_evaluated_in_buckets if by_size else draw_evaluated_with
            paths += draw(view, folder)
        if view.varies and any(curves_of(case) for case in view.cases):
            paths += draw_learning_curves(view, folder)
        attention = [case for case in view.cases if case.settings.get("subject") == "attention"]
        tokens = {tokens_at_once(case.settings) for case in attention}
        over_length = view.varies == "length" and len(tokens) == 1
        if over_length and any(case.time("forward") for case in attention):
            paths += draw_paper_figure_5(view, folder)
    return paths


def draw_over_axis(view: View, folder: Path) -> list[Path]:
    """Draw a figure per measure, of those that were measured or asked for along the axis."""
    paths = []
    for measure, draw in (
        ("time", draw_time),
        ("memory", draw_memory),
        ("quality", draw_quality),
    ):
        asked = any(measure in (case.settings.get("measures") or ()) for case in view.cases)
        found = asked or any(MEASURES[measure](case) is not None for case in view.cases)
        if found and is_told(view, measure):
            as_names = bool(view.categories)
            paths += draw_categories(view, folder, measure) if as_names else draw(view, folder)
    return paths
