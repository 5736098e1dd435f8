"""Values with their 95 % intervals, and the verdict on a ratio."""

from dataclasses import dataclass
from math import isinf, isnan, nan

from scipy import special

# "same" is a ratio within 3 %, either way round.
BAND = 1.03
LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95 % interval; low and high are nan where nothing can be said. n: processes
    or seeds.
    """

    value: float
    low: float = nan
    high: float = nan
    n: int = 1

    @property
    def has_interval(self) -> bool:
        """Is there an interval?"""
        return not isnan(self.low)

    def divided_by(self, divisor: float) -> "Estimate":
        """The same in a unit `divisor` times as large, or per unit of `divisor`."""
        return Estimate(self.value / divisor, self.low / divisor, self.high / divisor, self.n)


@dataclass(frozen=True, slots=True)
class Ratio(Estimate):
    """A ratio of two medians. smallest_visible: the least relative difference that could have been
    seen.
    """

    smallest_visible: float = nan

    @property
    def verdict(self) -> str:
        """Of the numerator: "same" (interval within 3 %), "slower" or "faster" (interval beyond 1,
        over 3 %), "ambiguous".
        """
        if not self.has_interval:
            return "ambiguous"
        if 1 / BAND <= self.low and self.high <= BAND:
            return "same"
        if self.low > 1 and self.value > BAND:
            return "slower"
        if self.high < 1 and self.value < 1 / BAND:
            return "faster"
        return "ambiguous"


def student_t(df: float) -> float:
    return float(special.stdtrit(df, TAILS[1])) if not isinf(df) else float(special.ndtri(0.975))
