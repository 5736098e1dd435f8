"""All figures look alike: colours, sizes, axes, captions and files are decided here.

The colour-blind can tell the colours apart; the sizes are legible at the width of a README.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from report.reading.series import AXIS_LABELS, View
from report.text import all_digits, length_text

# Okabe and Ito's palette, for what has no look of its own (looks.py).
WARM = ("#D55E00", "#E69F00", "#CC79A7", "#8C510A")
COLD = ("#0072B2", "#009E73", "#56B4E9", "#332288")
GREY = "#666666"
# Numbers of the paper are hollow and large.
PAPERS: dict[str, Any] = {"linestyle": "", "fillstyle": "none", "markersize": 9}
DPI = 110
KINDS = ("png", "svg", "pdf")
# For a paper: as wide as a column of text is, in inches, its letters as small as footnotes.
PAPER_WIDTH = 5.5
PAPER_LETTERS = 0.68
TITLE_WIDTH = 84  # characters of the title that fit in a line
LEGEND_WIDTH = 24  # and of the legend
LEGEND_AT = (0.74, 0.86)  # its upper left corner
CAPTION_SIZE = 8
SMALLEST = 5.0  # letters, in points
NO_BREAK = "\u00a0"
WIDTH = 9.0  # inches
# Of title and caption in an SVG, which a page says in words of its own.
TITLE_ID, CAPTION_ID = "finding", "caption"
# A range over this factor is drawn on a log axis.
LOG_FROM = 6.0

RC_PARAMS: dict[Any, Any] = {
    "font.size": 10.5,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "svg.fonttype": "none",
    # the same figure gives the same file
    "svg.hashsalt": "reformer-bench",
    "pdf.fonttype": 3,  # letters stay letters; TrueType would take as long as all drawing does
}
_for_paper = ContextVar("for_paper", default=False)


@contextmanager
def own_settings() -> Iterator[None]:
    """Draw with matplotlib's own settings and ours, whatever the user's are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC_PARAMS)
        yield


def new_figure(
    n_panels: int = 1, height: float = 4.8, n_rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """Make a figure of README width with room for a title, a caption and a legend.

    Returns it with its panels, side by side from the left, row by row.
    """
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)
    bottom = 1.1 / height
    axes = figure.subplots(n_rows, n_panels, squeeze=False).flatten()
    figure.subplots_adjust(left=0.1, right=0.73, top=1 - 0.85 / height, bottom=bottom, wspace=0.36)
    return figure, list(axes)


def add_words(figure: Figure, title: str, caption: str) -> None:
    """Write the title, which states the finding, at the top, and the caption at the bottom.

    A legend that was written before is fitted between them.
    """
    size = 12 if len(title) < 2 * TITLE_WIDTH else 10.5
    together = re.sub(r"(?<=\d) (?=%)", NO_BREAK, title)
    wrapped = textwrap.fill(together, round(TITLE_WIDTH * 12 / size)).replace(NO_BREAK, " ")
    n_more = max(0, wrapped.count("\n") - 1)  # there is room for two lines
    down = n_more * 1.2 * size / 72 / figure.get_figheight()
    figure.subplots_adjust(top=figure.subplotpars.top - down)
    above = figure.text(0.02, 0.98, wrapped, ha="left", va="top", fontsize=size, fontweight="bold")
    above.set_gid(TITLE_ID)
    wrapped = textwrap.fill(caption, 140)
    n_more = max(0, wrapped.count("\n") - 3)  # there is room for four lines
    up = n_more * 1.2 * CAPTION_SIZE / 72 / figure.get_figheight()
    figure.subplots_adjust(bottom=figure.subplotpars.bottom + up)
    below = figure.text(
        0.02, 0.015, wrapped, ha="left", va="bottom", fontsize=CAPTION_SIZE, color="#444444"
    )
    below.set_gid(CAPTION_ID)
    for legend in figure.legends:
        fit_legend(figure, legend, below.get_window_extent().y1, above.get_window_extent().y0)


def fit_legend(figure: Figure, legend: Legend, low: float, high: float) -> None:
    """Move a legend down, and make its letters smaller, until it lies between two heights."""
    top = legend.get_window_extent().y1
    if top > high:
        x, y = LEGEND_AT
        legend.set_bbox_to_anchor((x, y - (top - high) / figure.bbox.height))
    size = float(legend.get_texts()[0].get_fontsize())
    while legend.get_window_extent().y0 < low and size > SMALLEST:
        size -= 0.5
        for text in legend.get_texts():
            text.set_fontsize(size)


def add_legend(figure: Figure, *panels: Axes) -> None:
    """Write the legend of these panels right of all, wrapped to fit, with models first.

    What is grey explains, and comes after them.
    """
    found = [axes.get_legend_handles_labels() for axes in panels]
    handles = [handle for some, _ in found for handle in some]
    labels = [label for _, some in found for label in some]
    # without the error bars, which would hide marker and dashes
    handles = [h[0] if isinstance(h, ErrorbarContainer) else h for h in handles]
    entries = sorted(zip(handles, labels, strict=True), key=lambda entry: _is_grey(entry[0]))
    handles, labels = (
        [h for h, _ in entries],
        [textwrap.fill(label, LEGEND_WIDTH) for _, label in entries],
    )
    if handles:
        figure.legend(handles, labels, loc="upper left", bbox_to_anchor=LEGEND_AT, handlelength=2.8)


def x_axis(axes: Axes, view: View, values: Sequence[float] | None = None) -> None:
    """Make the x axis that of the suite's setting, with ticks where it was measured.

    `values` replaces the values at which ticks may stand.
    """
    values = view.x_values if values is None else values
    label = AXIS_LABELS.get(view.varies, view.varies.replace("_", " "))
    axes.set_xlabel(label)
    if not values:
        axes.set_xticks([])
        return
    if view.log_x and values[0] > 0:
        axes.set_xscale("log", base=2)
        axes.set_xlabel(f"{label}, log")
        axes.set_xlim(values[0] / 2**0.4, values[-1] * 2**0.4)
    else:
        margin = 0.06 * (values[-1] - values[0]) or 1
        axes.set_xlim(values[0] - margin, values[-1] + margin)
    every = -(-len(values) // 8)
    ticks = values[::-1][::every][::-1]
    axes.set_xticks(
        ticks, [length_text(x) if view.varies == "length" else all_digits(x) for x in ticks]
    )
    axes.xaxis.set_minor_locator(NullLocator())


def is_wide(values: Sequence[float]) -> bool:
    """Do these values want a log axis? Panels of one figure have one all or none."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > LOG_FROM


def y_axis(axes: Axes, values: Sequence[float], base: int = 10, always_log: bool = False) -> None:
    """Make the y axis a log axis for a wide range, else one from zero, with room at the ends."""
    if not values:
        return
    low, high = min(values), max(values)
    if low > 0 and (always_log or is_wide(values)):
        axes.set_yscale("log", base=base)
        axes.set_ylim(low / 1.25, high * 1.25)
        wide = high / low > 100
        if base == 2:
            subs: tuple[float, ...] = (1.0,) if high / low > 4 else (1.0, 1.25, 1.5, 1.75)
        else:
            subs = (1.0,) if high / low > 1000 else (1.0, 3.0) if wide else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(LogLocator(base=base, subs=subs, numticks=9))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, high * 1.15)


def possible_ticks(axis: Axis) -> None:
    """Leave out the ticks of shares in % that are beyond 0 and 100, where markers have room."""
    low, high = sorted(axis.get_view_interval())
    ticks = axis.get_majorticklocs()
    axis.set_ticks([at for at in ticks if max(low, 0) <= at <= min(high, 100)])


def tick_unit(axes: Axes, unit: str) -> None:
    """Write ticks without exponents (0.5, 20, 1,000), and the unit beside them; "" for none."""
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda y, _: f"{y:,.4g}" if y < 1e4 else f"{y:,.0f}")
    )
    is_log = unit and axes.get_yscale() == "log"
    axes.set_ylabel(f"{unit}, log" if is_log else unit)


@contextmanager
def for_paper() -> Iterator[None]:
    """Save figures as a paper sets them: as PDF, at its width, without what its caption says."""
    token = _for_paper.set(True)
    try:
        yield
    finally:
        _for_paper.reset(token)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write NAME.png, .svg and .pdf into the folder and return their paths; for a paper the .pdf.

    Raises ValueError for a name that leads out of it.
    """
    if name != Path(name).name:
        raise ValueError(f"figure {name!r} has no plain name")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{kind}" for kind in KINDS]
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with own_settings():
        if _for_paper.get():
            set_for_paper(figure)
            matplotlib.rcParams["pdf.fonttype"] = 42  # TrueType, which publishers ask for
            figure.savefig(paths[-1], metadata=undated[".pdf"], bbox_inches="tight")
            return paths[-1:]
        for path in paths:
            figure.savefig(path, metadata=undated.get(path.suffix))
    return paths


def set_for_paper(figure: Figure) -> None:
    """Make a figure as small as a paper's, and leave out its title and caption."""
    for text in figure.texts:
        text.set_visible(False)
    scale = PAPER_WIDTH / figure.get_figwidth()
    for artist in figure.findobj():
        if isinstance(artist, Text):
            artist.set_fontsize(float(artist.get_fontsize()) * PAPER_LETTERS)
        elif isinstance(artist, Line2D):
            artist.set_linewidth(artist.get_linewidth() * PAPER_LETTERS)
            artist.set_markersize(artist.get_markersize() * PAPER_LETTERS)
    figure.set_size_inches(PAPER_WIDTH, figure.get_figheight() * scale)


def _is_grey(handle: Artist) -> bool:
    return isinstance(handle, Line2D) and handle.get_color() == GREY
