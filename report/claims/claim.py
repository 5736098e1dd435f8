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
    does not name. where: what else the quantity must know, such as the part of a step. says: the
    sentence, with {value} for the quantity and its interval. asks, paper: question and answer of
    the paper, for a row of the table of answers; a claim without is only checked. why: what
    explains the difference from the paper.
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
    why: str = ""

    def __post_init__(self) -> None:
        require(
            self.at_least > -inf or self.at_most < inf,
            f"claim {self.name!r} has no condition; give it at_least, at_most or both",
        )
        require(
            self.at_least <= self.at_most,
            f"claim {self.name!r} asks for at least {self.at_least:g} and at most {self.at_most:g}",
        )
        require("{value}" in self.says, f"claim {self.name!r} says no {{value}}")

    def verdict(self, found: Estimate | None) -> str:
        """Judge the claim by what was found: "holds", "fails" or "inconclusive".

        It holds if the whole interval lies within the bounds, and fails if all of it lies outside;
        without an interval, or where it reaches across a bound, nothing is concluded.
        """
        if found is None or not found.has_interval:
            return INCONCLUSIVE
        if self.at_least <= found.low and found.high <= self.at_most:
            return HOLDS
        return FAILS if found.high < self.at_least or found.low > self.at_most else INCONCLUSIVE


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
