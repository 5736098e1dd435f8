"""An estimate is a value with its 95 % interval; a ratio has a verdict too."""

from dataclasses import dataclass, replace
from math import exp, isinf, isnan, log, nan

from scipy import special

# "same" is a ratio within 3 %, either way round, unless another threshold is asked for.
BAND = 1.03
CONFIDENCE = 0.95
TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate is a value and its 95 % interval, from n processes or seeds.

    low and high are nan where nothing can be said. error: the standard error of the value, of its
    log for times and ratios; df: how many degrees of freedom tell it. Both are nan where they are
    not known.
    """

    value: float
    low: float = nan
    high: float = nan
    n: int = 1
    error: float = nan
    df: float = nan

    @property
    def has_interval(self) -> bool:
        """Return whether there is an interval."""
        return not isnan(self.low)

    @property
    def leaves_out_0(self) -> bool:
        """Return whether there is an interval, and that leaves out 0."""
        return self.low > 0 or self.high < 0  # nan is neither

    @property
    def shift(self) -> float:
        """Return how far the value lies from no difference, on the scale of `error`."""
        return self.value

    @property
    def p_above(self) -> float:
        """Return the chance of a value so far above no difference if there were none; 1 if unknown.

        The test is one-sided, by Student's t.
        """
        return _p_above(self.shift, self.error, self.df)

    @property
    def p_below(self) -> float:
        """Return the chance of a value so far below no difference if there were none."""
        return _p_above(-self.shift, self.error, self.df)

    def divided_by(self, divisor: float) -> "Estimate":
        """Return the same in a unit `divisor` times as large, or per unit of `divisor`."""
        return Estimate(self.value / divisor, self.low / divisor, self.high / divisor, self.n)

    def size(self) -> "Estimate":
        """Return the same without its sign, of a value whose interval leaves out 0."""
        if self.value >= 0:
            return self
        return Estimate(-self.value, -self.high, -self.low, self.n)

    def within(self, least: float, most: float) -> "Estimate":
        """Return the same with the interval cut at the least and the most that is possible."""
        if not self.has_interval:
            return self
        return replace(self, low=max(self.low, least), high=min(self.high, most))


@dataclass(frozen=True, slots=True)
class Ratio(Estimate):
    """A ratio of two times has a verdict, and knows which differences it could have seen.

    band: ratios up to this, either way round, are no difference worth a word.
    """

    band: float = BAND

    @property
    def shift(self) -> float:
        """Return the log of the ratio."""
        return log(self.value)

    @property
    def smallest_visible(self) -> float:
        """Return the least relative difference that could have been seen; nan without interval."""
        if isnan(self.error):
            return nan
        return max(exp(min(student_t(self.df) * self.error, 700)), self.band) - 1

    @property
    def verdict(self) -> str:
        """The verdict says of the numerator "same", "slower", "faster" or "ambiguous".

        "same": the interval lies within the band around 1. "slower" and "faster": the interval lies
        beyond 1 and the value is off by more than the band. "ambiguous": none of these, or no
        interval. It is of this ratio alone: of 40 alike, one looks slower by chance.
        """
        if not self.has_interval:
            return "ambiguous"
        if 1 / self.band <= self.low and self.high <= self.band:
            return "same"
        if self.low > 1 and self.value > self.band:
            return "slower"
        if self.high < 1 and self.value < 1 / self.band:
            return "faster"
        return "ambiguous"


def student_t(df: float) -> float:
    """Return the 97.5 % quantile of Student's t; of the normal distribution for inf."""
    return float(special.stdtrit(df, TAILS[1])) if not isinf(df) else float(special.ndtri(TAILS[1]))


def _p_above(shift: float, error: float, df: float) -> float:
    if isnan(error):
        return 1.0
    if error == 0:
        return 0.0 if shift > 0 else 1.0
    return float(special.stdtr(df, -shift / error))
