"""A claim is a sentence with a number in it, and the condition under which it holds.

Claims stand in claims.toml. Nothing here knows what they are about.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from pathlib import Path
from typing import Any

from reformer.checks import refuse_unknown, require
from report.statistics.estimates import Estimate

CLAIMS = Path(__file__).with_name("claims.toml")
HOLDS, FAILS, INCONCLUSIVE = "holds", "fails", "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim says something of one quantity, which must lie between two bounds.

    quantity: of `quantities.QUANTITIES`. of, against: settings that pick the case, or the line,
    that the quantity is of, and the one it is compared with, which is equal in all that `against`
    does not name; "tokens" are those of all its sequences at once. What the sentence says of sizes
    is named there, or it would be told of a run with others. where: what else the quantity must
    know, such as the part of a step. says: the sentence, with {value} for the quantity and its
    interval. asks, paper: question and answer of the paper, for a row of the table of answers; a
    claim without is only checked. alone: what it asks where it must be understood without the row
    before.
    paper_at_least, paper_at_most: between these the quantity lies if the paper is right, where that
    is another condition than the claim's. why: what explains the difference from the paper.
    """

    name: str
    says: str
    quantity: str
    suite: str
    of: Mapping[str, Any]
    against: Mapping[str, Any] = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)
    at_least: float = -inf
    at_most: float = inf
    asks: str = ""
    paper: str = ""
    paper_at_least: float = -inf
    paper_at_most: float = inf
    why: str = ""
    alone: str = ""

    def __post_init__(self) -> None:
        require(
            self.at_least > -inf or self.at_most < inf,
            f"claim {self.name!r} has no condition; give it at_least, at_most or both",
        )
        for low, high in (self.bounds, self.bounds_of_paper):
            told = f"at least {low:g} and at most {high:g}"
            require(low <= high, f"claim {self.name!r} asks for {told}")
        require("{value}" in self.says, f"claim {self.name!r} says no {{value}}")

    def verdict(self, found: Estimate | None) -> str:
        """Judge the claim by what was found: "holds", "fails" or "inconclusive".

        It holds if the whole interval lies within the bounds, and fails if all of it lies outside;
        without an interval, or where it reaches across a bound, nothing is concluded.
        """
        return _judged(found, *self.bounds)

    def verdict_on_paper(self, found: Estimate | None) -> str:
        """Judge in the same way whether what was found is what the paper says."""
        return _judged(found, *self.bounds_of_paper)

    @property
    def question(self) -> str:
        """Return what the claim asks, so that it is understood by itself."""
        return self.alone or self.asks

    @property
    def bounds(self) -> tuple[float, float]:
        """Return between what the quantity lies if the claim holds."""
        return self.at_least, self.at_most

    @property
    def bounds_of_paper(self) -> tuple[float, float]:
        """Return between what the quantity lies if the paper is right."""
        told = self.paper_at_least, self.paper_at_most
        return self.bounds if told == (-inf, inf) else told


def _judged(found: Estimate | None, low: float, high: float) -> str:
    if found is None or not found.has_interval:
        return INCONCLUSIVE
    if low <= found.low and found.high <= high:
        return HOLDS
    return FAILS if found.high < low or found.low > high else INCONCLUSIVE


def read_claims(path: Path = CLAIMS) -> list[Claim]:
    """Read the claims of a TOML file, a table [[claim]] each.

    Raises ValueError, naming the file, on what is no TOML, an unknown or missing entry, and on two
    claims of one name.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("claim", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"cannot read claims from {path}: {error}") from error
    known = [f.name for f in fields(Claim)]
    found = []
    for table in tables:
        for name in table:
            refuse_unknown(name, known, f"entry of a claim in {path.name}")
        try:
            found.append(Claim(**table))
        except TypeError as error:
            told = table.get("name", f"number {len(found) + 1}")
            raise ValueError(f"claim {told!r} in {path.name}: {error}") from error
    names = [claim.name for claim in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    require(twice is None, f"two claims in {path.name} have the name {twice!r}")
    return found
