"""Two runs are compared case by case, and told apart from chance over all cases together."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from report.compare.pairs import Pair, numbers_of, pairs_of, standing, words_of, worse_of
from report.compare.quality import QualityChange
from report.reading.cases import CaseResult, code_text
from report.reading.gathering import gather, identity_differences, identity_key
from report.reading.judged import ACCURACY, BITS
from report.statistics.estimates import BAND, Ratio
from report.statistics.noise import Noise
from report.tables.markup import to_markdown
from report.text import plural
from suites.engine.store.records import Record
from suites.engine.terminal import table_text, wrapped

NOTHING_WORSE, SOMETHING_WORSE = 0, 1
COLUMNS_FOR_PEOPLE = ["case", "verdict", "stands", "time", "visible from"]
COLUMNS_FOR_PEOPLE += ["live tensors", "process", BITS.difference, ACCURACY.difference, "reason"]
# A sentence names as many cases; the table has the rest.
N_NAMED = 3
WORSE_IN_WORDS = {
    "time": "slower",
    "memory": "more memory",
    "quality": "more bits per dim",
    "accuracy": "less accuracy",
    "evaluated": "worse with other attention",
    "status": "fails now",
}


@dataclass(frozen=True, slots=True)
class RunComparison:
    """A comparison of two runs has a row per common case.

    `table` holds numbers, `for_people` the same in words; `exit_code` is 1 if something is worse
    that stands over all cases, and `reason` says what in one line.
    """

    table: pd.DataFrame
    for_people: pd.DataFrame
    mark: str  # in what the identities differ, if they do
    exit_code: int
    reason: str
    notes: tuple[str, ...] = ()  # sentences for below the table

    def markdown(self) -> str:
        """Return the table for people, how many cases got each verdict, the notes, the reason."""
        mark = f"{self.mark}\n\n" if self.mark else ""
        return f"{mark}{to_markdown(self.for_people)}\n" + "\n".join(self._sentences()) + "\n"

    def text(self, width: int) -> str:
        """Return the same for a terminal of so many columns."""
        table = table_text(list(map(str, self.for_people)), self.for_people.to_numpy(str), width)
        mark = f"{wrapped(self.mark, width)}\n\n" if self.mark else ""
        return f"{mark}{table}\n" + wrapped("\n".join(self._sentences()), width)

    def _sentences(self) -> list[str]:
        counts = self.table["verdict"].value_counts()
        told = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
        return [f"Each case alone: {told}.", *self.notes, self.reason]


def band_of(threshold: float | None) -> float:
    """Return the band for a threshold in per cent; the usual 3 % for None."""
    return BAND if threshold is None else 1 + threshold / 100


def compare_runs(
    before: Sequence[Record],
    after: Sequence[Record],
    mixed: bool = False,
    noise_by_case: Mapping[str, Noise] | None = None,
    band: float = BAND,
    ratios: Mapping[str, Ratio] | None = None,
) -> RunComparison:
    """Compare `after` with `before` for each common case: time, memory, quality.

    Each case has its own verdict on its time, from its own 95 % interval. Worse is what is slower
    by more than `band` or has over 1 % more bits per dim, or over 1 point less accuracy where its
    task is judged by that, as trained or as evaluated with other attention, where that stands over
    all cases together (`standing`), and what fails now though it did not, or takes more memory
    (over 3 % of live tensors, or over 3 % and 4 MiB of the process). noise_by_case: the noise
    between processes where the records do not tell. ratios: of times, by case, of runs measured in
    turns (`paired_ratios`). Raises ValueError if no case is in common, or, naming the difference,
    if the identities differ and not `mixed`.
    """
    differing = identity_differences([*before, *after])
    if differing and not mixed:
        gather([*before, *after])  # says in what they differ
    olds, news = gather(before, mixed, after), gather(after, mixed, before)
    common = in_common(olds, news)
    if not common:
        raise ValueError(
            f"the two runs have no case in common ({len(olds)} and {len(news)} cases); "
            "compare runs of the same suites, preset and method, on the same machine"
        )
    pairs = pairs_of(common, noise_by_case or {}, band, ratios or {})
    rows = list(zip(pairs, standing(pairs), strict=True))
    table = pd.DataFrame([numbers_of(*row) for row in rows])
    people = pd.DataFrame([words_of(*row) for row in rows], columns=COLUMNS_FOR_PEOPLE)
    people = people.dropna(axis=1, how="all").fillna("")
    told = [f"{name}: {' and '.join(values)}" for name, values in differing.items()]
    mark = f"MIXED, differing in {'; '.join(told)}" if differing else ""
    code = SOMETHING_WORSE if table["worse"].ne("").any() else NOTHING_WORSE
    notes = (
        *provenance(before, after),
        *not_paired(pairs, ratios),
        *unmatched(len(olds), len(news), len(common)),
    )
    return RunComparison(table, people, mark, code, reason_of(rows), notes)


def reason_of(rows: Sequence[tuple[Pair, list[str]]]) -> str:
    """Say in one line what is worse, in how many cases and in which, or that nothing is."""
    counted = {
        "time": sum(pair.has_time_test for pair, _ in rows),
        "memory": sum(pair.memory("peak_bytes") is not None for pair, _ in rows),
        "quality": _n_tested(rows, lambda one: one.judged is BITS and not one.evaluated_with),
        "accuracy": _n_tested(rows, lambda one: one.judged is ACCURACY and not one.evaluated_with),
        "evaluated": _n_tested(rows, lambda one: bool(one.evaluated_with)),
        "status": len(rows),
    }
    told = []
    for what, words in WORSE_IN_WORDS.items():
        names = [_named(pair, what) for pair, stands in rows if what in worse_of(pair, stands)]
        if names:
            more = ", ..." if len(names) > N_NAMED else ""
            of_all = f"{len(names)} of {plural(counted[what], 'case')}"
            told.append(f"{words}: {of_all} ({', '.join(names[:N_NAMED])}{more})")
    if told:
        return f"Worse: {'; '.join(told)}."
    n_alone = sum(pair.verdict == "slower" for pair, _ in rows)
    alone = f"; {plural(n_alone, 'case')} slower alone, which chance explains" if n_alone else ""
    return f"Nothing is worse over all cases together{alone}."


def _n_tested(
    rows: Sequence[tuple[Pair, list[str]]], is_meant: Callable[[QualityChange], bool]
) -> int:
    """Count the cases of which such a change was tested."""
    return sum(any(is_meant(one) and one.has_test for one in pair.changes) for pair, _ in rows)


def _named(pair: Pair, what: str) -> str:
    label = pair.old.label
    return f"{label}: {': '.join(pair.new.failure)}" if what == "status" else label


def provenance(before: Sequence[Record], after: Sequence[Record]) -> tuple[str, ...]:
    """Name in a sentence the code and the kernels of each side, where the records tell."""
    told = []
    for which, records in (("First", before), ("second", after)):
        commits = dict.fromkeys(code_text(r) for r in records if r.get("code"))
        kernels = dict.fromkeys(str(r["kernel"]) for r in records if r.get("kernel"))
        if commits:
            told.append(f"{which}: {', '.join(commits)}; kernels {', '.join(kernels)}")
    return (f"{'. '.join(told)}.",) if told else ()


def not_paired(pairs: Sequence[Pair], ratios: Mapping[str, Ratio] | None) -> tuple[str, ...]:
    """Count in a sentence the cases of runs measured in turns that were not compared in pairs."""
    n = sum(pair.time is not None and pair.old.id not in (ratios or {}) for pair in pairs)
    if ratios is None or not n:
        return ()
    return (
        f"Of {plural(n, 'case')} the processes make no pairs, one soon after the other: the "
        "machine may have been faster for one side.",
    )


def in_common(
    olds: Sequence[CaseResult], news: Sequence[CaseResult]
) -> list[tuple[CaseResult, CaseResult]]:
    """Pair the cases (old, new) that both have of one machine, with its versions and method.

    A case that each side has once is a pair on whatever it was measured: there is no other choice.
    """
    at = {(case.id, identity_key(case.records[0])): case for case in news}
    n_olds, n_news = (Counter(case.id for case in cases) for cases in (olds, news))
    once = {case.id: case for case in news if n_olds[case.id] == n_news[case.id] == 1}
    found = [
        (old, at.get((old.id, identity_key(old.records[0])), once.get(old.id))) for old in olds
    ]
    return [(old, new) for old, new in found if new is not None]


def unmatched(n_olds: int, n_news: int, n_common: int) -> tuple[str, ...]:
    """Count in a sentence the cases that only one of the two has, if there are any."""
    alone = {"first": n_olds - n_common, "second": n_news - n_common}
    told = [f"{plural(n, 'case')} only in the {which}" for which, n in alone.items() if n]
    return (f"Not compared: {', '.join(told)}.",) if told else ()
