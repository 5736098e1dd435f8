"""The table of answers sets what the paper claims beside what was measured here."""

from collections.abc import Iterable

import pandas as pd

from report.claims.check import Judgement

COLUMNS = ("the paper's claim", "the paper", "here", "verdict")


def answers_table(judgements: Iterable[Judgement]) -> pd.DataFrame:
    """Return a row for each claim that answers the paper: its claim and number, ours, the verdict.

    A claim that names the reason of a difference tells it beside the verdict.
    """
    rows = []
    for one in judgements:
        if one.claim.asks:
            verdict = ": ".join(filter(None, (one.answer, one.claim.why)))
            rows.append([one.claim.asks, one.claim.paper or "not told", one.sentence, verdict])
    return pd.DataFrame(rows, columns=list(COLUMNS))
