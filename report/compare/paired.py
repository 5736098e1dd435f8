"""Two runs that were measured in turns are compared pair by pair, so that drift cancels.

A pair is the same process of a timing of both, one right after the other (command `ab`). What slows
the machine for minutes slows both, and the ratio inside a pair does not show it.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from datetime import datetime
from math import exp, sqrt

import numpy as np

from report.reading.cases import samples_of
from report.reading.gathering import noise_kind
from report.statistics.estimates import BAND, Ratio
from report.statistics.intervals import interval_around
from report.statistics.noise import MIN_PROCESSES, Noise, noise_inside, noise_of_mean
from report.statistics.samples import Array, log_medians
from suites.engine.store.records import Record, part_of

# What began so long after the other had ended is no pair: the machine may be another by then.
SOON_S = 600.0


def paired_ratios(
    before: Sequence[Record], after: Sequence[Record], band: float = BAND
) -> dict[str, Ratio]:
    """Estimate for each case that both timed the ratio of times, after over before, from its pairs.

    Left out are cases that one side did not time in as many processes as the other, or on several
    machines: which of them make a pair cannot be told. The noise between pairs is moderated within
    a kind of case.
    """
    olds = {r["case"]: r for r in before if samples_of(r, "step")}
    counts = (Counter(r["case"] for r in side if samples_of(r, "step")) for side in (before, after))
    several = {case for count in counts for case, n in count.items() if n > 1}
    logs: dict[str, Array] = {}
    kinds: dict[str, Hashable] = {}
    for record in after:
        old = olds.get(record["case"]) if record["case"] not in several else None
        found = None if old is None else log_ratios(old, record)
        if found is not None:
            logs[record["case"]], kinds[record["case"]] = found, noise_kind(record)
    priors = {
        kind: noise_inside(found for i, found in logs.items() if kinds[i] == kind)
        for kind in set(kinds.values())
    }
    return {i: ratio_of_pairs(found, priors[kinds[i]], band) for i, found in logs.items()}


def log_ratios(before: Record, after: Record) -> Array | None:
    """Return for each process the log of the ratio of its medians, after over before.

    None if the two were not timed in the same processes, as when one of them failed. Where the jobs
    tell when they ran, only pairs of which one followed the other within minutes count, and with
    fewer than three of these it is None too.
    """
    both = [samples_of(record, "step") for record in (before, after)]
    counts = {len(part_of(record, "time").get("processes") or []) for record in (before, after)}
    if len(counts) > 1 or {len(both[0]), len(both[1])} != counts:
        return None
    logs = log_medians(both[1]) - log_medians(both[0])
    when = [spans_of(record) for record in (before, after)]
    if {len(spans) for spans in when} != counts:
        return logs
    near = [gap_s(one, other) <= SOON_S for one, other in zip(*when, strict=True)]
    return logs if all(near) else logs[near] if sum(near) >= MIN_PROCESSES else None


def spans_of(record: Record) -> list[tuple[float, float]]:
    """Return when each timed process of a record began and ended, in seconds."""
    found = []
    for job in record.get("jobs") or []:
        if job["kind"] == "time" and job["status"] == "ok" and not job.get("replaced"):
            start = datetime.fromisoformat(job["started"]).timestamp()
            found.append((start, start + job["wall_s"]))
    return found


def gap_s(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the seconds from the end of the earlier span to the start of the later one."""
    earlier, later = sorted((one, other))
    return later[0] - earlier[1]


def ratio_of_pairs(logs: Array, prior: Noise | None = None, band: float = BAND) -> Ratio:
    """Estimate a ratio from the logs of the ratios of pairs: the interval is Student's.

    With fewer than three pairs and no prior there is no interval, and the verdict is "ambiguous".
    """
    value, n = exp(float(np.mean(logs))), len(logs)
    known = noise_of_mean(logs, prior)
    if known is None:
        return Ratio(value, n=n, band=band)
    error = sqrt(known.variance)
    return Ratio(value, *interval_around(value, error, known.df), n, error, known.df, band)
