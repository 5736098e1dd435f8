"""Two runs are compared case by case: in time, memory, bits per dim and failures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from report.reading.cases import CaseResult, code_text, gather, identity_differences, samples_of
from report.reading.differences import bits_difference, memory_ratio
from report.statistics.estimates import BAND, Estimate
from report.statistics.intervals import ratio_of_medians
from report.statistics.noise import Noise, process_noise
from report.statistics.seeds import MIN_SEEDS
from report.tables.markup import to_markdown
from report.text import factor_digits, percent_text, plural, signed_text
from suites.engine.store.records import Record

NOTHING_WORSE, SOMETHING_WORSE = 0, 1
# Share of the bits per dim below which a change is none: of many cases one in 40 looks worse by
# chance.
VISIBLE_BITS = 0.01
COLUMNS_FOR_PEOPLE = ["case", "verdict", "time", "visible from", "memory", "bits per dim", "reason"]


@dataclass(frozen=True, slots=True)
class RunComparison:
    """A comparison of two runs has a row per common case.

    `table` holds numbers, `for_people` the same in words; `exit_code` is 1 if something is slower,
    fails now, takes more memory or predicts worse.
    """

    table: pd.DataFrame
    for_people: pd.DataFrame
    mark: str  # in what the identities differ, if they do
    exit_code: int
    notes: tuple[str, ...] = ()  # sentences for below the table

    def markdown(self) -> str:
        """Return the table for people, how many cases got each verdict, and the notes."""
        counts = self.table["verdict"].value_counts()
        told = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
        mark = f"{self.mark}\n\n" if self.mark else ""
        return f"{mark}{to_markdown(self.for_people)}\n" + "\n".join([told, *self.notes]) + "\n"


def compare_runs(
    before: Sequence[Record],
    after: Sequence[Record],
    mixed: bool = False,
    noise_by_case: Mapping[str, Noise] | None = None,
) -> RunComparison:
    """Compare `after` with `before` for each common case: time, memory, bits per dim.

    Time has a verdict; bits per dim are paired over seeds. noise_by_case: the noise between
    processes where the records do not tell. Worse is what is slower, fails now though it did not,
    takes over 3 % more memory, or has over 1 % more bits per dim with an interval of at least 3
    seeds above 0. Raises ValueError if no case is in common, or, naming the difference, if the
    identities differ and not `mixed`.
    """
    differing = identity_differences([*before, *after])
    if differing and not mixed:
        gather([*before, *after])  # says in what they differ
    pooled = process_noise(
        samples for record in (*before, *after) if (samples := samples_of(record, "step"))
    )
    known = noise_by_case or {}
    olds = {case.id: case for case in gather(before, mixed)}
    news = {case.id: case for case in gather(after, mixed)}
    common = [(olds[i], news[i]) for i in olds if i in news]
    if not common:
        raise ValueError(
            f"the two runs have no case in common ({len(olds)} and {len(news)} cases); "
            "compare runs of the same suites, preset and method"
        )
    rows = [_run_row(old, new, known.get(old.id, pooled)) for old, new in common]
    table = pd.DataFrame([row for row, _ in rows])
    n_worse = int(table["worse"].ne("").sum())
    people = pd.DataFrame([words for _, words in rows], columns=COLUMNS_FOR_PEOPLE)
    people = people.dropna(axis=1, how="all").fillna("")
    told = [f"{name}: {' and '.join(values)}" for name, values in differing.items()]
    mark = f"MIXED, differing in {'; '.join(told)}" if differing else ""
    code = SOMETHING_WORSE if n_worse else NOTHING_WORSE
    notes = (*provenance(before, after), *unmatched(olds, news))
    return RunComparison(table, people, mark, code, notes)


def provenance(before: Sequence[Record], after: Sequence[Record]) -> tuple[str, ...]:
    """Name in a sentence the code and the kernels of each side, where the records tell."""
    told = []
    for which, records in (("First", before), ("second", after)):
        commits = dict.fromkeys(code_text(r) for r in records if r.get("code"))
        kernels = dict.fromkeys(str(r["kernel"]) for r in records if r.get("kernel"))
        if commits:
            told.append(f"{which}: {', '.join(commits)}; kernels {', '.join(kernels)}")
    return (f"{'. '.join(told)}.",) if told else ()


def unmatched(olds: Iterable[str], news: Iterable[str]) -> tuple[str, ...]:
    """Count in a sentence the cases that only one of the two has, if there are any."""
    alone = {"first": len({*olds} - {*news}), "second": len({*news} - {*olds})}
    told = [f"{plural(n, 'case')} only in the {which}" for which, n in alone.items() if n]
    return (f"Not compared: {', '.join(told)}.",) if told else ()


def _run_row(
    old: CaseResult, new: CaseResult, noise: Noise | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a case of both runs in numbers and in words."""
    row: dict[str, Any] = {"case": old.id, "label": old.label, "verdict": "not timed"}
    words: dict[str, Any] = {"case": old.label}
    worse = []
    if old.processes() and new.processes():
        ratio = ratio_of_medians(new.processes(), old.processes(), noise)
        row |= {"verdict": ratio.verdict, **_numbers("time_ratio", ratio)}
        row["smallest_visible"] = ratio.smallest_visible
        words["time"] = percent_text(ratio)
        words["visible from"] = f"{100 * ratio.smallest_visible:.1f} %"
        worse += ["time"] if ratio.verdict == "slower" else []
    if old.failure[0] or new.failure[0]:
        row |= {"verdict": _failing(old, new), "reason": new.failure[1]}
        words["reason"] = ": ".join(new.failure)
        worse += ["status"] if row["verdict"] == "fails now" else []
    words["verdict"] = row["verdict"]
    factor = memory_ratio(new, old)
    if factor is not None:
        row["memory_ratio"] = factor
        words["memory"] = f"{factor_digits(factor)}x"
        worse += ["memory"] if factor > BAND else []
    change = bits_difference(new, old)
    if change is not None:
        row |= _numbers("bits_change", change)
        words["bits per dim"] = f"{signed_text(change)}, {plural(change.n, 'seed')}"
        level = sum(old.quality().values()) / len(old.quality())
        clear = change.low > 0 and change.value > VISIBLE_BITS * level
        worse += ["quality"] if change.n >= MIN_SEEDS and clear else []
    return row | {"worse": " ".join(worse)}, words


def _failing(old: CaseResult, new: CaseResult) -> str:
    if old.failure[0] and new.failure[0]:
        return "fails in both"
    return "fails now" if new.failure[0] else "runs now"


def _numbers(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
