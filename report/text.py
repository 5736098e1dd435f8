"""Numbers become text for people: times, bytes, lengths, factors and intervals."""

from collections.abc import Collection, Sequence
from math import isclose, isfinite

from report.statistics.estimates import Estimate, Ratio

# An interval that reaches further than this above its value is told by its ends.
WIDE = 1.3
STATUS_TEXT = {
    "oom": "out of memory",
    "timeout": "timed out",
    "crash": "crashed",
    "diverged": "diverged",
    "skipped": "skipped",
    "missing": "not measured yet",
}


def length_text(length: float) -> str:
    """Write a length such as 32768 as 32K and 1048576 as 1M, others with thousands separated."""
    for size, unit in ((2**20, "M"), (2**10, "K")):
        if length >= size and length % size == 0:
            return f"{length / size:g}{unit}"
    return all_digits(length)


def all_digits(value: float) -> str:
    """Write a number with its thousands separated and without an exponent, below 10^10."""
    return f"{value:,.10g}"


def three_digits(value: float) -> str:
    """Write a number with three digits, also if the last is 0, or all those before the point."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:#.3g}".rstrip(".")


def duration_text(ms: float) -> str:
    """Write a time with three digits, in ms or from 2 s on in s: "72.3 ms", "455 s"."""
    return f"{three_digits(ms / 1000)} s" if ms > 2000 else f"{three_digits(ms)} ms"


def bytes_text(n_bytes: float | None) -> str:
    """Write bytes with a binary unit and three digits; "" for None."""
    if n_bytes is None:
        return ""
    for size, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if abs(n_bytes) >= size:
            return f"{three_digits(n_bytes / size)} {unit}"
    return f"{n_bytes:g} B"


def ms_text(estimate: Estimate | None) -> str:
    """Write milliseconds with as many digits as the interval carries; "" for None.

    A wide interval is lopsided: then both of its ends are told, not "7 +- 66 ms".
    """
    if estimate is None:
        return ""
    if not estimate.has_interval:
        return f"{estimate.value:,.{_decimals(estimate)}f} ms (no interval)"
    if estimate.high > WIDE * estimate.value:
        value, low, high = map(three_digits, (estimate.value, estimate.low, estimate.high))
        return f"{value} ({low} to {high}) ms"
    return f"{_plus_minus(estimate, _decimals(estimate))} ms"


def interval_text(estimate: Estimate | None, decimals: int) -> str:
    """Write a value +- half its interval, or alone where it has none; "" for None.

    An interval that was cut (`Estimate.within`) is told by its ends: 98.8 (96.5 to 100.0).
    """
    if estimate is None:
        return ""
    value, low, high = (f"{v:,.{decimals}f}" for v in (estimate.value, estimate.low, estimate.high))
    if not estimate.has_interval:
        return value
    up, down = estimate.high - estimate.value, estimate.value - estimate.low
    is_cut = not isclose(up, down, rel_tol=1e-6, abs_tol=1e-9)
    return f"{value} ({low} to {high})" if is_cut else _plus_minus(estimate, decimals)


def _plus_minus(estimate: Estimate, decimals: int) -> str:
    half = (estimate.high - estimate.low) / 2
    return f"{estimate.value:,.{decimals}f} +- {half:,.{decimals}f}"


def factor_text(ratio: Estimate) -> str:
    """Write a ratio as a factor: 1.42x (1.35 to 1.46), or without an interval if it has none."""
    value = f"{factor_digits(ratio.value)}x"
    if not ratio.has_interval or not isfinite(ratio.high):
        return value
    return f"{value} ({factor_digits(ratio.low)} to {factor_digits(ratio.high)})"


def speed_text(ratio: Ratio) -> str:
    """Say how much faster or slower, so that the words fit between two names.

    "is 28.1 (26.0 to 30.4) times faster than"; where the interval holds 1, it is "takes 1.02x (0.95
    to 1.10) the time of".
    """
    words = speed_words(ratio)
    return f"is {words} than" if words else f"takes {factor_text(ratio)} the time of"


def speed_words(ratio: Ratio) -> str:
    """Say how much faster or slower: "28.1 (26.0 to 30.4) times faster"; "" if maybe neither."""
    if ratio.value == 1 or ratio.low <= 1 <= ratio.high:
        return ""
    word = "slower" if ratio.value > 1 else "faster"
    value, low, high = ratio.value, ratio.low, ratio.high
    if word == "faster":
        value, low, high = 1 / value, 1 / high, 1 / low
    ends = f" ({factor_digits(low)} to {factor_digits(high)})" if ratio.has_interval else ""
    return f"{factor_digits(value)}{ends} times {word}"


def factor_digits(ratio: float) -> str:
    """Write a factor with three digits at most and without the x."""
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def percent_text(ratio: Ratio) -> str:
    """Write a ratio as a signed change in per cent with its interval."""
    value = f"{100 * (ratio.value - 1):+.1f} %"
    if not ratio.has_interval:
        return value
    return f"{value} ({100 * (ratio.low - 1):+.1f} to {100 * (ratio.high - 1):+.1f})"


def signed_text(difference: Estimate, decimals: int = 3) -> str:
    """Write a difference with its sign and its interval."""
    value = f"{difference.value:+.{decimals}f}"
    if not difference.has_interval:
        return value
    return f"{value} ({difference.low:+.{decimals}f} to {difference.high:+.{decimals}f})"


def bracketed_text(estimate: Estimate, decimals: int) -> str:
    """Write a value with its interval, without signs: "0.053 (0.043 to 0.063)"."""
    value, low, high = (
        f"{number:.{decimals}f}" for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} ({low} to {high})" if estimate.has_interval else value


def off_text(off: float) -> str:
    """Say by what share something is off: 0.45 is "45 % too high"."""
    return f"{100 * abs(off):.0f} % too {'high' if off > 0 else 'low'}"


def plural(n: int, word: str) -> str:
    """Write a count with its noun: 1 seed, 3 seeds, 4 processes."""
    return f"{n:,} {word}" + ("" if n == 1 else "es" if word.endswith("s") else "s")


def any_of_text(counts: Sequence[int]) -> str:
    """Write counts as "800, 1,200 or 1,800"."""
    *first, last = (f"{n:,}" for n in counts)
    return f"{', '.join(first)} or {last}" if first else last


def plural_range(counts: Collection[int], word: str) -> str:
    """Write the range of several counts with their noun: 3 processes, 3 to 6 processes."""
    low, high = min(counts, default=0), max(counts, default=0)
    return plural(high, word) if low == high else f"{low} to {plural(high, word)}"


def _decimals(estimate: Estimate) -> int:
    half = (estimate.high - estimate.low) / 2 if estimate.has_interval else 0.0
    digit = half if half > 0 else estimate.value / 100
    return 0 if digit >= 3 else 1 if digit >= 0.3 else 2
