"""A trained model is judged by held-out bits per dim, or by the share of right answers."""

from collections.abc import Iterable
from dataclasses import dataclass

from report.reading.cases import CaseResult
from report.statistics.estimates import Estimate
from report.statistics.seeds import mean_over_seeds, mean_share
from suites.settings import BY_ACCURACY


@dataclass(frozen=True, slots=True)
class Judged:
    """A model is judged by the number `name` of its record's quality, told as times `scale`.

    change: the name of a difference in tables for programs. head: of columns; short: of those of
    differences. unit: in sentences, as "3.05 bits per dim" or "99.1 % right"; difference: that of
    differences. axis: of figures.
    """

    name: str
    change: str
    head: str
    short: str
    unit: str
    difference: str
    axis: str
    decimals: int
    scale: float = 1.0
    higher_is_better: bool = False

    def text(self, value: float) -> str:
        """Write a value with its unit."""
        return f"{value:.{self.decimals}f} {self.unit}"


BITS = Judged(
    name="bits_per_dim",
    change="bits_change",
    head="bits per dim",
    short="bits",
    unit="bits per dim",
    difference="bits per dim",
    axis="held-out bits per dim (lower is better)",
    decimals=3,
)
ACCURACY = Judged(
    name="accuracy",
    change="accuracy_change",
    head="accuracy in %",
    short="accuracy",
    unit="% right",
    difference="points of accuracy",
    axis="held-out accuracy in % (higher is better)",
    decimals=1,
    scale=100.0,
    higher_is_better=True,
)


def judged_of(case: CaseResult) -> Judged:
    """Say by what a case is judged: its task decides."""
    return ACCURACY if case.settings.get("task") in BY_ACCURACY else BITS


def judged_together(cases: Iterable[CaseResult]) -> Judged:
    """Say by what cases are judged on one axis: by bits per dim, which all have, where in doubt."""
    return ACCURACY if {judged_of(case).name for case in cases} == {ACCURACY.name} else BITS


def scores_of(
    case: CaseResult, judged: Judged | None = None, evaluated_with: str = ""
) -> dict[int, float]:
    """Return by seed what a case is judged by, bits per dim or accuracy in %, or another number.

    evaluated_with: another attention than in training, by its name in suites.evaluations.
    """
    judged = judged or judged_of(case)
    found = case.quality(judged.name, evaluated_with)
    return {seed: judged.scale * value for seed, value in found.items()}


def score_of(
    case: CaseResult, judged: Judged | None = None, evaluated_with: str = ""
) -> Estimate | None:
    """Return the mean of `scores_of` with the interval over seeds; None if not measured."""
    judged = judged or judged_of(case)
    values = list(scores_of(case, judged, evaluated_with).values())
    mean = mean_share if judged is ACCURACY else mean_over_seeds
    return mean(values) if values else None
