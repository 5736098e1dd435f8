"""This figure is the paper's Figure 2 of a trained head: full, bucketed, sorted, chunked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from report.figures.style import COLD, DPI, GREY, WARM, WIDTH, add_words, save
from report.reading.cases import CaseResult
from report.reading.series import View, name_among

Array = NDArray[Any]
INK = LinearSegmentedColormap.from_list("ink", ["#E8F1F8", COLD[0], "#001A33"])
LOST = LinearSegmentedColormap.from_list("lost", ["#FBE9DC", WARM[0], "#4A1E00"])
BLANK = "#F7F7F7"


def draw_attention_patterns(
    view: View, case: CaseResult, head: Mapping[str, Any], folder: Path
) -> list[Path]:
    """Draw four panels of keys (across) and queries (down) of one head in a short stretch."""
    weights, order = weights_of(head), sorted_order(head["buckets"])
    bucketed = same_bucket(head["buckets"]) & (weights > 0)
    chunked = bucketed & within_chunks(head)
    figure = Figure(figsize=(WIDTH, 4.1), dpi=DPI)
    panels = figure.subplots(1, 4)
    figure.subplots_adjust(left=0.055, right=0.99, top=0.71, bottom=0.265, wspace=0.1)
    everything = weights > 0
    for axes, name, kept, lost, places in zip(
        panels,
        ("(a) full", "(b) bucketed", "(c) sorted by bucket", "(d) chunked"),
        (everything, bucketed, bucketed, chunked),
        (None, None, None, bucketed & ~chunked),
        (None, None, order, order),
        strict=True,
    ):
        if places is not None and lost is not None:
            draw_windows(axes, within_chunks(head)[np.ix_(places, places)])
        draw_pattern(axes, weights, kept, lost, places)
        axes.set_title(f"{name}\n{shares_text(weights, kept)}", fontsize=9)
        axes.set_xlabel("key, by position" if places is None else "key, by bucket", fontsize=9)
    panels[0].set_ylabel("query", fontsize=9)
    draw_borders(panels[3], len(order), head["chunk_length"])
    add_words(figure, pattern_finding(head), caption_text(view, case, head))
    return save(figure, folder, f"{view.name}_attention_patterns")


def weights_of(head: Mapping[str, Any]) -> Array:
    """Return the full attention of the stretch as a matrix, queries by keys."""
    n = len(head["buckets"])
    weights = np.zeros((n, n))
    for i, row in enumerate(head["weights"], start=1):
        # a weight that was rounded to 0 is still a pair
        weights[i, :i] = np.maximum(row, 1e-6)
    return weights


def sorted_order(buckets: Sequence[int]) -> Array:
    """Return the positions in the order of (bucket, position)."""
    return np.argsort(np.asarray(buckets), kind="stable")


def same_bucket(buckets: Sequence[int]) -> Array:
    """Tell which pairs share a bucket."""
    found = np.asarray(buckets)
    return found[:, None] == found[None, :]


def within_chunks(head: Mapping[str, Any]) -> Array:
    """Tell which keys are in the chunk of the query or in those before it, around the edge too."""
    order = sorted_order(head["buckets"])
    chunk = np.empty(len(order), int)
    chunk[order] = np.arange(len(order)) // head["chunk_length"]
    n_chunks = -(-len(order) // head["chunk_length"])
    back = (chunk[:, None] - chunk[None, :]) % n_chunks
    return back <= head["chunks_before"]


def shares_text(weights: Array, kept: Array) -> str:
    """Say which share of the attention and of the pairs is kept."""
    mass, pairs = shares(weights, kept)
    return f"{mass:.0f} % of attention\n{pairs:.0f} % of pairs"


def shares(weights: Array, kept: Array) -> tuple[float, float]:
    """Return the share of the attention, mean over queries, and of the pairs that is kept, in %."""
    mass = (weights * kept).sum(axis=1)[1:] / weights.sum(axis=1)[1:]
    return 100 * float(mass.mean()), 100 * float(kept.sum() / (weights > 0).sum())


def draw_pattern(
    axes: Axes, weights: Array, kept: Array, lost: Array | None, order: Array | None
) -> None:
    """Draw weights of the pairs that are kept, and in another colour of those that are lost."""
    order = np.arange(len(weights)) if order is None else order
    at = np.ix_(order, order)
    norm = PowerNorm(0.5, 0, 1)
    axes.set_facecolor(BLANK)
    for which, colours in ((kept, INK), (lost, LOST)):
        if which is not None:
            shown = np.ma.masked_where(~which[at], weights[at])
            axes.imshow(shown, cmap=colours, norm=norm, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)


def draw_windows(axes: Axes, within: Array) -> None:
    """Shade what the chunk of a query and those before it hold, whatever the bucket."""
    axes.imshow(np.ma.masked_where(~within, within), cmap="Greys", vmin=0, vmax=9)


def draw_borders(axes: Axes, length: int, chunk_length: int) -> None:
    """Draw where the sorted order is cut into chunks."""
    for border in range(chunk_length, length, chunk_length):
        axes.axhline(border - 0.5, color=GREY, linewidth=0.8)
        axes.axvline(border - 0.5, color=GREY, linewidth=0.8)


def pattern_finding(head: Mapping[str, Any]) -> str:
    """Say what the pairs of one bucket hold of the attention, and what is left after cutting."""
    weights = weights_of(head)
    bucketed = same_bucket(head["buckets"]) & (weights > 0)
    mass, pairs = shares(weights, bucketed)
    left, _ = shares(weights, bucketed & within_chunks(head))
    return (
        f"In one hash round the pairs of one bucket, {pairs:.0f} % of all, hold {mass:.0f} % of "
        f"this head's attention; cut into chunks {left:.0f} % are left"
    )


def caption_text(view: View, case: CaseResult, head: Mapping[str, Any]) -> str:
    """Say which head in which stretch is drawn, and how it was hashed."""
    return (
        f"{view.caption} After Figure 2 of the paper, from a trained model: "
        f"{name_among(case, view.cases)}, layer {head['layer']}, head {head['head']} (the one that "
        f"looks furthest back), the first {len(head['buckets'])} positions of a held-out "
        f"window, hashed alone in one round into {max(head['buckets']) + 1} buckets, chunks of "
        f"{head['chunk_length']}, {head['chunks_before']} before. Darker: more weight (root "
        "scale); grey: what chunks would let meet; orange: one bucket, but too many chunks apart. "
        "Shares of attention: means over queries."
    )
