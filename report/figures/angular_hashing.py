"""This figure is the paper's Figure 1 of real vectors: angular hashes on the circle."""

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from report.figures.style import COLD, DPI, GREY, WARM, WIDTH, add_words, save
from report.reading.cases import CaseResult
from report.reading.series import View, name_among
from report.text import plural

Array = NDArray[Any]
COLOURS = (COLD[0], WARM[1], COLD[1], WARM[2])  # of the four buckets
NEAR, FAR, RIGHT = 30, 60, 90  # degrees


def draw_angular_hashing(
    view: View, case: CaseResult, head: Mapping[str, Any], folder: Path
) -> list[Path]:
    """Draw the vectors of a head on the circle, once for each rotation, coloured by bucket."""
    angles, buckets = angles_of(head), np.asarray(head["plane_buckets"])
    pairs = near_and_far(angles, buckets)
    figure = Figure(figsize=(WIDTH, 4.6), dpi=DPI)
    panels = np.atleast_1d(figure.subplots(1, len(buckets)))
    figure.subplots_adjust(left=0.02, right=0.98, top=0.76, bottom=0.27, wspace=0.05)
    for i, axes in enumerate(panels):
        draw_circle(axes, angles, buckets[i], head["axes"][i])
        for pair, style in zip(pairs, ("-", "--"), strict=True):
            ends = angles[list(pair)]
            axes.plot(np.cos(ends), np.sin(ends), style, color="black", linewidth=1.6)
        axes.set_title(f"rotation {i + 1}", fontsize=10)
    for at, (pair, name) in enumerate(zip(pairs, ("near (line)", "far (dashes)"), strict=True)):
        n_shared = int((buckets[:, pair[0]] == buckets[:, pair[1]]).sum())
        text = (
            f"{name}: {apart(angles, *pair):.0f} degrees apart, one bucket in {n_shared} of "
            f"{plural(len(buckets), 'rotation')}"
        )
        figure.text(0.02 + 0.49 * at, 0.225, text, fontsize=9)
    add_words(figure, hashing_finding(head), caption_text(view, case, head))
    return save(figure, folder, f"{view.name}_angular_hashing")


def angles_of(head: Mapping[str, Any]) -> Array:
    """Return the directions of the projected vectors, in radians."""
    plane = np.asarray(head["plane"])
    return np.arctan2(plane[:, 1], plane[:, 0])


def apart(angles: Array, i: Any, j: Any) -> Any:
    """Return the angle between vectors in degrees, 0 to 180."""
    turned = np.abs(angles[i] - angles[j]) % (2 * np.pi)
    return np.degrees(np.minimum(turned, 2 * np.pi - turned))


def near_and_far(angles: Array, buckets: Array) -> tuple[tuple[int, int], tuple[int, int]]:
    """Choose two pairs to follow: typical ones of those within NEAR and of those beyond RIGHT.

    Typical is a pair that shares a bucket as often as the median one, of several the one whose
    angle is nearest to the median. Where there are none so near, or so far, it is of all pairs.
    """
    i, j = np.triu_indices(len(angles), 1)
    between = apart(angles, i, j)
    shared = (buckets[:, i] == buckets[:, j]).mean(axis=0)
    near, far = typical(between, shared, between < NEAR), typical(between, shared, between >= RIGHT)
    return (int(i[near]), int(j[near])), (int(i[far]), int(j[far]))


def typical(between: Array, shared: Array, wanted: Array) -> int:
    """Return the place of the pair that is typical of those wanted (`near_and_far`)."""
    among = wanted if wanted.any() else np.ones_like(wanted)
    unlike = np.abs(shared - np.median(shared[among]))
    askew = np.abs(between - np.median(between[among]))
    return int(np.lexsort((askew, unlike, ~among))[0])


def draw_circle(axes: Axes, angles: Array, buckets: Array, rotated: Any) -> None:
    """Draw the circle with its four sectors, and on it each vector in the colour of its bucket."""
    axes.add_patch(Circle((0, 0), 1, fill=False, color=GREY, linewidth=0.8))
    one, two = np.asarray(rotated)
    for border in (one + two, one - two):
        end = border / np.linalg.norm(border)
        axes.plot([-end[0], end[0]], [-end[1], end[1]], ":", color=GREY, linewidth=1)
    for bucket, centre in enumerate((one, two, -one, -two)):
        axes.annotate(
            f"bucket {bucket}",
            tuple(0.62 * centre),
            ha="center",
            va="center",
            fontsize=8.5,
            color=COLOURS[bucket],
        )
        inside = angles[buckets == bucket]
        axes.plot(
            np.cos(inside), np.sin(inside), "o", color=COLOURS[bucket], markersize=6, alpha=0.6
        )
    axes.set_xlim(-1.1, 1.1)
    axes.set_ylim(-1.1, 1.1)
    axes.set_aspect("equal")
    axes.set_axis_off()


def shared_within(head: Mapping[str, Any], low: float, high: float) -> float:
    """Return how often pairs so many degrees apart share a bucket, in %; nan if there are none."""
    angles, buckets = angles_of(head), np.asarray(head["plane_buckets"])
    i, j = np.triu_indices(len(angles), 1)
    between = apart(angles, i, j)
    chosen = (low <= between) & (between < high)
    same = buckets[:, i[chosen]] == buckets[:, j[chosen]]
    return 100 * float(same.mean()) if same.size else float("nan")


def hashing_finding(head: Mapping[str, Any]) -> str:
    """Say how often near and far vectors share a bucket."""
    near, far = shared_within(head, 0, NEAR), shared_within(head, FAR, 181)
    if isnan(near):
        return (
            f"Projected on a plane, no two vectors of this head are less than {NEAR} degrees apart"
        )
    text = (
        f"Projected on a plane, vectors of a trained head less than {NEAR} degrees apart share a "
        f"bucket in {near:.0f} % of rotations"
    )
    if isnan(far):
        return f"{text}; none are more than {FAR} degrees apart"
    return f"{text}, those more than {FAR} degrees apart in {far:.0f} %"


def caption_text(view: View, case: CaseResult, head: Mapping[str, Any]) -> str:
    """Say which vectors are drawn, and what the projection keeps of them."""
    return (
        f"{view.caption} After Figure 1 of the paper, from a trained model: "
        f"{name_among(case, view.cases)}, layer {head['layer']}, head {head['head']}, the "
        f"{len(head['plane'])} queries at the start of a held-out window, as unit vectors. They "
        "are projected on the two directions that keep most of their squared length "
        f"({100 * head['kept']:.0f} %), and hashed there: h(x) = argmax([xR; -xR]), 4 buckets."
    )
