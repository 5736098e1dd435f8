"""An estimate is a value with its 95 % interval; a ratio has a verdict too."""

from dataclasses import dataclass
from math import isinf, isnan, nan

from scipy import special

# "same" is a ratio within 3 %, either way round.
BAND = 1.03
CONFIDENCE = 0.95
TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate is a value and its 95 % interval, from n processes or seeds.

    low and high are nan where nothing can be said.
    """

    value: float
    low: float = nan
    high: float = nan
    n: int = 1

    @property
    def has_interval(self) -> bool:
        """Return whether there is an interval."""
        return not isnan(self.low)

    def divided_by(self, divisor: float) -> "Estimate":
        """Return the same in a unit `divisor` times as large, or per unit of `divisor`."""
        return Estimate(self.value / divisor, self.low / divisor, self.high / divisor, self.n)


@dataclass(frozen=True, slots=True)
class Ratio(Estimate):
    """A ratio of two times knows which differences it could have seen.

    smallest_visible: the least relative difference that could have been seen.
    """

    smallest_visible: float = nan

    @property
    def verdict(self) -> str:
        """The verdict says of the numerator "same", "slower", "faster" or "ambiguous".

        "same": the interval lies within 3 % of 1. "slower" and "faster": the interval lies beyond 1
        and the value is over 3 % off. "ambiguous": none of these, or no interval.
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
    """Return the 97.5 % quantile of Student's t; of the normal distribution for inf."""
    return float(special.stdtrit(df, TAILS[1])) if not isinf(df) else float(special.ndtri(TAILS[1]))
