"""A table tells how time and memory scale beside what the paper prints, and where lines cross."""

import pandas as pd

from report.reading.measures import MEASURES
from report.reading.rivals import (
    ORDINARY,
    TYPICAL_DENSE,
    crossover_of,
    means_of,
    scaling_of,
)
from report.reading.series import Series, View
from report.tables.markup import without_empty
from report.tables.printed import printed_exponent, row_in_paper

# The settings of which the paper's Tables 1 and 3 tell how costs grow with them.
COSTS = ("time", "memory")
NAMES = {"length": "length", "n_layers": "layers", "d_ff": "d_ff"}


def scaling_table(view: View) -> pd.DataFrame | None:
    """Return crossovers, and exponents against length, layers or d_ff beside the paper's.

    Crossovers are of lengths, against each dense and local baseline, the usual one first. A line
    that bends has its first and its last slope. Memory is that of activations and workspace. The
    paper's exponent is the power of its bound at the sizes measured. Lines and columns without any
    of these are left out. It is None for a suite that varies something else, or of which no costs
    were measured.
    """
    if view.varies not in NAMES or not any(MEASURES[m](c) for m in COSTS for c in view.cases):
        return None
    of_length = view.varies == "length"
    rivals = [s for s in view.series if s.kind in ("dense", "local") and of_length]
    rivals.sort(key=lambda line: (not is_usual(line), means_of(line) != ORDINARY))
    rows = []
    for line in view.series:
        found = {}
        for rival in rivals:
            # dense lines come last, after local ones: what a line is to beat comes after it
            is_told = line.kind not in ("dense", rival.kind)
            crossing = crossover_of(line, rival) if is_told else None
            found[f"faster than {rival.name} from"] = crossing.text() if crossing else ""
        for measure in COSTS:
            growth = scaling_of(line, measure)
            found |= {
                f"{measure} ~ {NAMES[view.varies]} to the power": growth.text() if growth else "",
                f"{measure}: the paper's exponent": printed_text(line, measure) if growth else "",
            }
        if any(found.values()):
            rows.append({"model": line.name, **found, "in the paper": row_in_paper(line.cases[0])})
    return without_empty(pd.DataFrame(rows)) if rows else None


def is_usual(line: Series) -> bool:
    """Return whether a line is of today's usual dense attention."""
    return line.cases[0].settings["attention"] == TYPICAL_DENSE


def printed_text(line: Series, measure: str) -> str:
    """Tell the power of the paper's bound at the sizes that were measured; "" without one."""
    measured = [x for x, case in line.points if MEASURES[measure](case) is not None]
    exponent = printed_exponent(line, measure, measured)
    return "" if exponent is None else f"{exponent + 0.0:.2f}"
