"""Two runs that were measured in turns are compared pair by pair, so that drift cancels.

A pair is the same process of a timing of both, one right after the other (command `ab`). What slows
the machine for minutes slows both, and the ratio inside a pair does not show it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from typing import Any

import numpy as np
import pandas as pd

from report.reading.cases import samples_of
from report.statistics.estimates import BAND, Ratio, student_t
from report.statistics.samples import Array, log_medians
from report.tables.markup import to_markdown
from report.text import percent_text, plural
from suites.engine.store.records import Record, part_of

COLUMNS = ["case", "pairs", "time, paired", "visible from", "verdict"]


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """A paired comparison has the ratio of times, after over before, of each case, by its id."""

    ratios: Mapping[str, Ratio]
    labels: Mapping[str, str]

    def markdown(self) -> str:
        """Return a row per case in words, and what the table is; "" if there are no pairs."""
        if not self.ratios:
            return ""
        rows: list[dict[str, Any]] = [
            {
                "case": self.labels[case_id],
                "pairs": ratio.n,
                "time, paired": percent_text(ratio),
                "visible from": visible_from(ratio),
                "verdict": ratio.verdict,
            }
            for case_id, ratio in self.ratios.items()
        ]
        n_cases = plural(len(rows), "case")
        told = f"Process by process, measured in turns ({n_cases}, each by itself):"
        return f"{told}\n\n{to_markdown(pd.DataFrame(rows, columns=COLUMNS))}\n"


def compare_paired(before: Sequence[Record], after: Sequence[Record]) -> PairedComparison:
    """Compare the times of cases that both have, process by process.

    Left out are cases that one side did not time in as many processes as the other: which of them
    make a pair cannot be told.
    """
    olds = {r["case"]: r for r in before if samples_of(r, "step")}
    ratios, names = {}, {}
    for record in after:
        old = olds.get(record["case"])
        logs = None if old is None else log_ratios(old, record)
        if logs is not None:
            ratios[record["case"]], names[record["case"]] = ratio_of_pairs(logs), record["label"]
    return PairedComparison(ratios, names)


def log_ratios(before: Record, after: Record) -> Array | None:
    """Return for each process the log of the ratio of its medians, after over before.

    None if the two were not timed in the same processes, as when one of them failed.
    """
    both = [samples_of(record, "step") for record in (before, after)]
    counts = {len(part_of(record, "time").get("processes") or []) for record in (before, after)}
    if len(counts) > 1 or {len(both[0]), len(both[1])} != counts:
        return None
    return log_medians(both[1]) - log_medians(both[0])


def ratio_of_pairs(logs: Array) -> Ratio:
    """Estimate a ratio from the logs of the ratios of pairs: the interval is Student's.

    With one pair there is no interval, and the verdict is "ambiguous".
    """
    n, mean = len(logs), float(np.mean(logs))
    if n < 2:
        return Ratio(exp(mean), n=n)
    half = min(student_t(n - 1) * sqrt(float(np.var(logs, ddof=1)) / n), 700.0)
    return Ratio(exp(mean), exp(mean - half), exp(mean + half), n)


def visible_from(ratio: Ratio) -> str:
    """Say which difference could have been seen: half the width of the interval, or the band."""
    if not ratio.has_interval:
        return ""
    return f"{100 * (max(sqrt(ratio.high / ratio.low), BAND) - 1):.1f} %"
