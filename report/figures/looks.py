"""A variant of a model has one colour and one marker, in every figure and on every page.

Okabe and Ito's palette and Paul Tol's, which the colour-blind can tell apart: blue is LSH
attention, the darker the more rounds; red and orange are dense attention, black is local attention,
green are layers of several kinds, the rest are published Reformers. Markers tell them in grey.
"""

from collections.abc import Sequence

from matplotlib.colors import to_hex, to_rgb

from report.reading.series import Series
from suites.labels import means_text

Look = tuple[str, str]

LSH = {
    1: ("#88CCEE", "v"),
    2: ("#56B4E9", "s"),
    4: ("#0072B2", "o"),
    8: ("#332288", "D"),
    16: ("#000055", "P"),
}
OTHER_ROUNDS = ("#3A6EA5", "h")
LOCAL = ("#000000", "^")
MIXED = (("#117733", "p"), ("#44AA99", "d"), ("#999933", "8"))
PEERS = {
    "reformer-pytorch": ("#7F7F7F", "<"),
    "reformer-pytorch-exact": ("#B07AA1", ">"),
    "transformers": ("#8A8A00", "H"),
}
DENSE = {
    "naive": ("#CC79A7", "*"),
    "memory_efficient": ("#8C510A", "X"),
    "sdpa": ("#D55E00", "X"),
}
WITH_MEANS = ("#E69F00", "P")
SEPARATE_QK = ("#AA4499", "d")
OWN_ATTENTION = ("#661100", "*")
# Further variants of one look are lighter, and have the next of these.
MARKERS = "osD^vPXh"
LIGHTEST = 0.65


def looks(series: Sequence[Series]) -> list[Look]:
    """Choose a colour and a marker per line: those of its variant.

    Of lines that differ in what has no look of its own, such as the bucket size, the one of the
    shortest name has it, and the others run to a lighter colour.
    """
    usual = [look_of(line) for line in series]
    found = []
    for own, (colour, marker) in zip(series, usual, strict=True):
        alike = [line for line, look in zip(series, usual, strict=True) if look == (colour, marker)]
        # the one of fewest words is the usual one
        place = sorted(alike, key=lambda line: len(line.name)).index(own)
        share = LIGHTEST * place / len(alike)
        further = MARKERS[(MARKERS.find(marker) + place) % len(MARKERS)]
        found.append((lighter(colour, share) if place else colour, further if place else marker))
    return found


def look_of(line: Series) -> Look:
    """Return the look of the variant that a line is of."""
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
    if means_text(settings) == "reversible and chunked":
        return WITH_MEANS
    is_model = settings.get("subject", "model") == "model"
    if is_model and attention == "sdpa" and settings.get("shared_qk") is False:
        return SEPARATE_QK
    return DENSE.get(attention, OWN_ATTENTION)


def lighter(colour: str, share: float) -> str:
    """Mix a colour with so much white."""
    red, green, blue = (part + (1 - part) * share for part in to_rgb(colour))
    return to_hex((red, green, blue))
