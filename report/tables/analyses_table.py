"""Small tables tell what the analyses of trained models found."""

import pandas as pd

from report.reading.analyses import (
    PAST_ONLY,
    analysed,
    analysis_of,
    bits_change,
    by_rounds,
    share_over_seeds,
)
from report.reading.changes import names_of_changes
from report.reading.series import View, name_among
from report.statistics.estimates import Estimate
from report.text import interval_text, plural, signed_text


def past_only_table(view: View) -> pd.DataFrame | None:
    """Return what changes if each position is predicted from its prefix alone; None if unknown."""
    cases = analysed(view, PAST_ONLY)
    rows = []
    for case in cases:
        share = share_over_seeds(case, PAST_ONLY, lambda one: one["share_changed"])
        largest = max(one["largest_change"] for one in analysis_of(case, PAST_ONLY))
        hashed = [one for one in analysis_of(case, PAST_ONLY) if "own_hash" in one]
        own = bits_change(hashed, lambda one: one["own_hash"])
        rows.append(
            {
                "model": name_among(case, cases),
                "bits per dim, hashed as the whole": _signed(
                    bits_change(analysis_of(case, PAST_ONLY), lambda one: one)
                ),
                "predictions changed (%)": interval_text(share, 1),
                "largest change of a logit": f"{largest:.2g}",
                "bits per dim, hashed alone": _signed(own),
            }
        )
    return pd.DataFrame(rows) if rows else None


def mass_table(view: View) -> pd.DataFrame | None:
    """Return the share of the true attention that pairs hold which met within so many rounds.

    It is in %, beside the share of all pairs that met. None if no case has it.
    """
    cases = analysed(view, "attention mass")
    if not cases:
        return None
    longest = max(len(by_rounds(case, "mass")) for case in cases)
    columns = [2**i for i in range(longest.bit_length())]
    changed = {} if view.varies else names_of_changes(cases)
    rows = []
    for case in cases:
        mass, pairs = by_rounds(case, "mass"), by_rounds(case, "pairs")
        row = {"model": changed.get(case.id) or name_among(case, cases)}
        for r in columns:
            found = mass[r - 1] if r <= len(mass) else None
            row[f"within {plural(r, 'round')}"] = interval_text(found, 1)
        rows.append(row | {"pairs that met in any": interval_text(pairs[-1], 1)})
    return pd.DataFrame(rows)


def _signed(estimate: Estimate | None) -> str:
    return signed_text(estimate, 4) if estimate else ""
