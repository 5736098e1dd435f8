"""What a case learnt is compared between two runs: as trained, and evaluated otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from report.reading.cases import CaseResult
from report.reading.judged import ACCURACY, Judged, judged_of
from report.statistics.estimates import Estimate
from report.statistics.seeds import MIN_SEEDS, difference_noise, paired_difference
from report.text import plural
from suites.engine.store.records import part_of

# Share of the bits per dim, and points of accuracy, below which a change is none.
VISIBLE_BITS, VISIBLE_POINTS = 0.01, 1.0
BySeed = dict[int, float]


@dataclass(frozen=True, slots=True)
class QualityChange:
    """A change of what a case is judged by: bits per dim, or accuracy in %.

    difference: new less old, paired over seeds; before: the mean of old. evaluated_with: the entry
    of a record's evaluations, "" for the model as it was trained.
    """

    judged: Judged
    evaluated_with: str
    difference: Estimate
    before: float

    @property
    def has_test(self) -> bool:
        """Return whether it rests on enough seeds to be tested."""
        return self.difference.n >= MIN_SEEDS

    @property
    def is_visible(self) -> bool:
        """Return whether it is more than 1 % of the bits per dim, or 1 point of accuracy."""
        least = VISIBLE_POINTS if self.judged is ACCURACY else VISIBLE_BITS * self.before
        return abs(self.difference.value) > least

    def words(self, is_worse: bool) -> str:
        """Say in words that it got worse, or better: "more bits", "less accuracy"."""
        size = "more" if is_worse != self.judged.higher_is_better else "less"
        if self.judged is not ACCURACY:
            told = f"{'fewer' if size == 'less' else size} bits"
        else:
            told = f"{size} accuracy"
        count, _, way = self.evaluated_with.partition(" ")
        if not count:
            return told
        attention = plural(int(count), "round") if count.isdigit() else f"{count} attention"
        return f"{told} evaluated with {' '.join(filter(None, (attention, way)))}"


def quality_changes(
    common: Sequence[tuple[CaseResult, CaseResult]],
) -> list[tuple[QualityChange, ...]]:
    """Return for each pair of cases (old, new) what changed, the model as trained first.

    The noise of differences over seeds is moderated within a task and an evaluation.
    """
    found = [{name: _both(*pair, name) for name in evaluations_of(pair[1])} for pair in common]
    kinds = [str(old.settings.get("task")) for old, _ in common]
    groups: dict[tuple[str, str], list[tuple[BySeed, BySeed]]] = {}
    for task, by_name in zip(kinds, found, strict=True):
        for name, both in by_name.items():
            groups.setdefault((task, name), []).append(both)
    priors = {kind: difference_noise(group) for kind, group in groups.items()}
    return [
        tuple(
            QualityChange(
                judged_of(old),
                name,
                paired_difference(*both, priors[task, name]),
                fmean(both[1].values()),
            )
            for name, both in by_name.items()
            if both[0].keys() & both[1].keys()
        )
        for (old, _), task, by_name in zip(common, kinds, found, strict=True)
    ]


def evaluations_of(case: CaseResult) -> list[str]:
    """Return "" for a model as trained, then with what else it was evaluated."""
    found = [part_of(r, "quality").get("evaluated_with") or {} for r in case.records]
    names = dict.fromkeys(name for one in found for name in one)
    # with as many rounds as it was trained with, it is the same number once more
    return ["", *(name for name in names if name != str(case.settings.get("n_rounds")))]


def _both(old: CaseResult, new: CaseResult, evaluated_with: str) -> tuple[BySeed, BySeed]:
    """Return what both are judged by, by seed, the new one first."""
    judged = judged_of(old)
    one, other = (
        {seed: judged.scale * value for seed, value in found.items()}
        for found in (case.quality(judged.name, evaluated_with) for case in (new, old))
    )
    return one, other
