"""The table of answers sets what the paper claims beside what was measured here."""

from collections.abc import Iterable

import pandas as pd

from report.claims.check import Judgement

VERDICT = "does that hold here? (our bar)"
COLUMNS = ("question", "the paper", "here", VERDICT)


def answers_table(judgements: Iterable[Judgement]) -> pd.DataFrame:
    """Return a row for each claim that asks: the question, the paper's number, ours, the verdict.

    There is none where the paper says nothing. The verdict has its bar beside it, and what the
    claim says of a difference.
    """
    rows = []
    for one in judgements:
        if one.claim.asks:
            judged = f"{one.answer} ({one.bar})" if one.claim.paper else ""
            verdict = ": ".join(filter(None, (judged, one.claim.why))) or "-"
            rows.append([one.claim.asks, one.claim.paper or "not told", one.sentence, verdict])
    return pd.DataFrame(rows, columns=list(COLUMNS))
