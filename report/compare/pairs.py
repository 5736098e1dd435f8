"""A case of two runs is compared in time, memory, quality and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from report.compare.quality import QualityChange, quality_changes
from report.reading.cases import CaseResult
from report.reading.differences import time_ratio, time_verdict
from report.statistics.estimates import Ratio
from report.statistics.holm import holm
from report.statistics.noise import Noise
from report.text import factor_digits, percent_text, plural, signed_text

MIB = 2**20
# Memory grows visibly from this share on, the process's own peak only from so many bytes on too:
# it varies by about 1 MiB with two threads.
MEMORY_GROWS, PROCESS_GROWS_BYTES = 0.03, 4 * MIB


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair is one case as two runs measured it.

    time: new over old, None where either was not measured. changes: of the quality, as trained
    first.
    """

    old: CaseResult
    new: CaseResult
    time: Ratio | None
    changes: tuple[QualityChange, ...] = ()

    @property
    def verdict(self) -> str:
        """Return the verdict on this case alone: on its time, or on how it ended."""
        if self.old.failure[0] or self.new.failure[0]:
            if self.old.failure[0] and self.new.failure[0] and not self.loses:
                return "fails in both"
            if self.new.failure[0] == "skipped":
                return "left out now"
            return "fails now" if self.new.failure[0] else "runs now"
        return "not timed" if self.time is None else time_verdict(self.new, self.old, self.time)

    @property
    def loses(self) -> bool:
        """Return whether a part, or the quality of a seed, was measured before and is not now."""
        return not _measured(self.old) <= _measured(self.new)

    @property
    def has_time_test(self) -> bool:
        """Return whether the times can be tested: undisturbed, and with an interval."""
        disturbed = self.new.disturbed or self.old.disturbed
        return self.time is not None and self.time.has_interval and not disturbed

    @property
    def trained(self) -> QualityChange | None:
        """Return the change of the model as it was trained; None if it was not in both."""
        return next((one for one in self.changes if not one.evaluated_with), None)

    def memory(self, name: str) -> float | None:
        """Return one entry of the memory, new over old; None if not measured in both."""
        one, other = self.new.memory(name), self.old.memory(name)
        return one / other if one is not None and other else None

    @property
    def memory_grows(self) -> bool:
        """Return whether live tensors take over 3 % more, or the process over 3 % and 4 MiB."""
        live = [self.memory(name) or 0.0 for name in ("live_peak_bytes", "live_rest_bytes")]
        one, other = (case.memory("peak_bytes") or 0.0 for case in (self.new, self.old))
        process = (self.memory("peak_bytes") or 0.0) > 1 + MEMORY_GROWS
        by_enough = process and one - other > PROCESS_GROWS_BYTES
        return max(live) > 1 + MEMORY_GROWS or by_enough


def pairs_of(
    common: Sequence[tuple[CaseResult, CaseResult]],
    noise: Mapping[str, Noise],
    band: float,
    ratios: Mapping[str, Ratio],
) -> list[Pair]:
    """Pair the cases (old, new) that two runs have in common.

    noise: between processes by case, where the records do not tell. ratios: of times, by case,
    where they are known better than from the two sides apart.
    """
    pairs = []
    for both, changes in zip(common, quality_changes(common), strict=True):
        known = noise.get(both[0].id)
        old, new = (replace(c, noise={"step": known}) if known else c for c in both)
        time = ratios.get(old.id) or time_ratio(new, old, band=band)
        pairs.append(Pair(old, new, time, changes))
    return pairs


def _measured(case: CaseResult) -> set[tuple[str, int]]:
    """Return what was measured: parts, of the quality the seeds too."""
    parts = [("time", bool(case.processes())), ("memory", case.memory("peak_bytes") is not None)]
    return {(name, 0) for name, is_known in parts if is_known} | {
        ("quality", seed) for seed in case.quality()
    }


@dataclass(frozen=True, slots=True)
class Test:
    """A test of a pair asks for a change for the worse and, apart from that, for the better.

    p: the chances of such a change if there were none. counts: is it beyond the threshold?
    """

    p: tuple[float, float]
    counts: bool
    words: tuple[str, str]


def tests_of(pair: Pair) -> list[Test]:
    """List what is tested of a pair: its time, and each change of its quality."""
    found = []
    if pair.time is not None and pair.has_time_test:
        p = pair.time.p_above, pair.time.p_below
        found.append(Test(p, _beyond(pair.time), ("slower", "faster")))
    for one in pair.changes:
        if one.has_test:
            p = one.difference.p_above, one.difference.p_below
            p = p[::-1] if one.judged.higher_is_better else p
            found.append(Test(p, one.is_visible, (one.words(True), one.words(False))))
    return found


def standing(pairs: Sequence[Pair]) -> list[list[str]]:
    """Tell for each pair which of its changes stand over all cases together.

    All changes for the worse are one family of one-sided tests, each of no change at all against a
    change that way; those for the better are another. Holm holds the chance of any false alarm at
    2.5 % over each, so at 5 % in all. What is within the threshold is no change, whatever its p.
    """
    found: list[list[str]] = [[] for _ in pairs]
    tests = [(i, test) for i, pair in enumerate(pairs) for test in tests_of(pair)]
    for side in (0, 1):
        stands = holm([test.p[side] for _, test in tests])
        for (i, test), stood in zip(tests, stands, strict=True):
            if stood and test.counts:
                found[i].append(test.words[side])
    return found


def _beyond(ratio: Ratio) -> bool:
    return not 1 / ratio.band <= ratio.value <= ratio.band


def worse_of(pair: Pair, stands: Sequence[str]) -> list[str]:
    """List in what a case got worse: WORSE_IN_WORDS in report.compare.runs has them all."""
    quality = {one.words(True): one for one in pair.changes}
    worse = [quality[words] for words in stands if words in quality]
    found = {
        "time": "slower" in stands,
        "status": pair.verdict == "fails now",
        "memory": pair.memory_grows,
        "quality": "more bits" in stands,
        "accuracy": "less accuracy" in stands,
        "evaluated": any(one.evaluated_with for one in worse),
    }
    return [name for name, is_worse in found.items() if is_worse]


def numbers_of(pair: Pair, stands: Sequence[str]) -> dict[str, Any]:
    """Return a row of numbers."""
    row: dict[str, Any] = {"case": pair.old.id, "label": pair.old.label, "verdict": pair.verdict}
    row |= {"stands": ", ".join(stands), "worse": " ".join(worse_of(pair, stands))}
    change = pair.trained
    quality = (change.judged.change, change.difference) if change else ("", None)
    for name, estimate in (("time_ratio", pair.time), quality):
        if estimate is not None:
            row |= {name: estimate.value, f"{name}_low": estimate.low}
            row[f"{name}_high"] = estimate.high
    if pair.time is not None:
        row |= {"smallest_visible": pair.time.smallest_visible, "p_slower": pair.time.p_above}
    row |= {
        "memory_ratio": pair.memory("live_peak_bytes"),
        "process_ratio": pair.memory("peak_bytes"),
    }
    if pair.old.failure[0] or pair.new.failure[0]:
        row["reason"] = pair.new.failure[1]
    return row


def words_of(pair: Pair, stands: Sequence[str]) -> dict[str, str]:
    """Return the row in words; what is not known is missing."""
    words = {"case": pair.old.label, "verdict": pair.verdict}
    if stands or pair.verdict in ("slower", "faster"):
        words["stands"] = ", ".join(stands) or "no"
    if pair.time is not None:
        words["time"] = percent_text(pair.time)
        if pair.time.has_interval:
            words["visible from"] = f"{100 * pair.time.smallest_visible:.1f} %"
    for column, name in (("live tensors", "live_peak_bytes"), ("process", "peak_bytes")):
        factor = pair.memory(name)
        if factor is not None:
            words[column] = f"{factor_digits(factor)}x"
    change = pair.trained
    if change is not None:
        told = signed_text(change.difference, change.judged.decimals)
        words[change.judged.difference] = f"{told}, {plural(change.difference.n, 'seed')}"
    if pair.old.failure[0] or pair.new.failure[0]:
        words["reason"] = ": ".join(pair.new.failure)
    return words
