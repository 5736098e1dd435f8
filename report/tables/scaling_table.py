"""A table tells how time and memory scale with length, and where lines cross."""

import pandas as pd

from report.reading.rivals import crossover_of, scaling_of
from report.reading.series import View


def scaling_table(view: View) -> pd.DataFrame | None:
    """Return exponents against length, and crossovers against each dense and local baseline.

    A line that bends has its first and its last slope. It is None for a suite that does not vary
    the length.
    """
    if view.varies != "length":
        return None
    rivals = [series for series in view.series if series.kind in ("dense", "local")]
    rows = []
    for line in view.series:
        row = {"model": line.name}
        for measure in ("time", "memory"):
            found = scaling_of(line, measure)
            row[f"{measure} ~ length to the power"] = found.text() if found else ""
        for rival in rivals:
            # dense lines come last, after local ones: what a line is to beat comes after it
            is_told = line.kind not in ("dense", rival.kind)
            crossing = crossover_of(line, rival) if is_told else None
            row[f"faster than {rival.name} from"] = crossing.text() if crossing else ""
        rows.append(row)
    return pd.DataFrame(rows) if rows else None
