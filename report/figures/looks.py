"""A variant of a model has one look, in every figure and on every page: colour, marker and line.

The colour and the shape of the marker tell the attention: blue is LSH attention, the darker the
more rounds; red, orange and wine are dense attention; black is local attention; green are layers of
several kinds; the rest are published Reformers. How the marker is filled and the line broken tells
with what the layers save memory, where that is not the usual, and a precision other than float32.
The colours are of Okabe and Ito's palette and Paul Tol's, which the colour-blind can tell apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.colors import to_hex, to_rgb

from report.reading.cases import CaseResult
from report.reading.rivals import ORDINARY, WITH_MEANS
from report.reading.series import USUAL_PRECISION, Series, level
from suites.labels import means_text


class Look(NamedTuple):
    """A look is a colour, the shape and the filling of a marker, and how a line is broken."""

    colour: str
    marker: str
    fill: str = "full"
    line: str = "-"

    @property
    def style(self) -> dict[str, Any]:
        """Return the look as matplotlib's arguments of a line."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "fillstyle": self.fill,
            "linestyle": self.line,
        }


LSH = {
    1: Look("#4DAFE3", "v"),
    2: Look("#2490D2", "s"),
    4: Look("#0072B2", "o"),
    8: Look("#332288", "D"),
    16: Look("#000055", "P"),
}
OTHER_ROUNDS = Look("#3A6EA5", "h")
LOCAL = Look("#000000", "^")
MIXED = (Look("#117733", "p"), Look("#44AA99", "d"), Look("#999933", "8"))
PEERS = {
    "reformer-pytorch": Look("#7F7F7F", "<"),
    "reformer-pytorch-exact": Look("#B07AA1", ">"),
    "transformers": Look("#8A8A00", "H"),
}
SDPA = {
    ORDINARY: Look("#D55E00", "X"),
    "chunked": Look("#CC6677", "H"),
    "reversible": Look("#882255", "<"),
    WITH_MEANS: Look("#E69F00", "P"),
}
DENSE = {"naive": Look("#CC79A7", "*"), "memory_efficient": Look("#8C510A", "h")}
SEPARATE_QK = Look("#AA4499", "d")
OWN_ATTENTION = Look("#661100", "*")
# Of layers that do not have what is usual in their family.
BROKEN = {ORDINARY: "--", "reversible": "-.", "chunked": ":", WITH_MEANS: "--"}
# Further variants of one look are lighter, and have the next of these.
MARKERS = "osD^vPXh"
LIGHTEST = 0.65
OF_SIZES = "sD^vPX*"  # where markers tell sizes; a hollow "o" is another reading


def looks(series: Sequence[Series]) -> list[Look]:
    """Choose a look per line: that of its variant.

    Of lines that differ in what has no look of its own, such as the bucket size, the one of the
    shortest name has it, and the others run to a lighter colour.
    """
    usual = [look_of(line) for line in series]
    found = []
    for own, look in zip(series, usual, strict=True):
        alike = [line for line, other in zip(series, usual, strict=True) if other == look]
        # the one of fewest words is the usual one
        place = sorted(alike, key=lambda line: len(line.name)).index(own)
        further = MARKERS[(MARKERS.find(look.marker) + place) % len(MARKERS)]
        paler = lighter(look.colour, LIGHTEST * place / len(alike))
        found.append(look._replace(colour=paler, marker=further) if place else look)
    return found


def look_of(line: Series) -> Look:
    """Return the look of the variant that a line is of, whatever stands beside it."""
    s = line.cases[0].settings
    means = means_text(s) or usual_means(line.kind)
    look = look_of_attention(line, means)
    is_usual = means == usual_means(line.kind) or look in SDPA.values()
    fill, broken = ("full", "-") if is_usual else ("none", BROKEN[means])
    half, graph = s.get("precision", USUAL_PRECISION) != USUAL_PRECISION, s.get("cuda_graph")
    if half:
        fill, broken = ("left", "--") if is_usual else ("top", broken)
    if graph:
        fill, broken = "right", "-." if half else ":"
    return look._replace(fill=fill, line=broken)


def usual_means(kind: str) -> str:
    """Say with what layers of a kind save memory where nothing else is told."""
    return ORDINARY if kind == "dense" else WITH_MEANS


def look_of_attention(line: Series, means: str) -> Look:
    """Return the look of the attention of a line; of dense models, with what layers save memory."""
    settings = line.cases[0].settings
    attention = str(settings.get("attention"))
    if line.kind == "reformer":
        rounds = {int(case.settings.get("n_rounds") or 0) for case in line.cases}
        return LSH.get(rounds.pop(), OTHER_ROUNDS) if len(rounds) == 1 else LSH[4]
    if line.kind == "peer":
        return PEERS[attention]
    if line.kind == "local":
        return LOCAL
    if line.kind == "mixed":
        return MIXED[sum(map(ord, attention)) % len(MIXED)]
    if attention != "sdpa":
        return DENSE.get(attention, OWN_ATTENTION)
    return SEPARATE_QK if has_separate_qk(settings) else SDPA[means]


def has_separate_qk(settings: Mapping[str, Any]) -> bool:
    """Is it a model whose queries and keys are two projections?"""
    is_model = settings.get("subject", "model") == "model"
    return is_model and settings.get("shared_qk") is False


def look_of_case(case: CaseResult) -> Look:
    """Return the look of the variant that one case is of."""
    return look_of(level(case.label, case))


def lighter(colour: str, share: float) -> str:
    """Mix a colour with so much white."""
    red, green, blue = (part + (1 - part) * share for part in to_rgb(colour))
    return to_hex((red, green, blue))
