"""Refuse what is illegal with one sentence, which says what was asked and what is legal.

No torch.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def refuse_unknown(name: str, legal: Iterable[str], what: str) -> None:
    """Raise ValueError, naming the nearest legal name, if `name` is not one of `legal`."""
    legal = list(legal)
    if name in legal:
        return
    near = get_close_matches(str(name), legal, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown {what} {name!r}; {hint}legal: {', '.join(legal)}")


def require(condition: bool, message: str) -> None:
    """Raise ValueError with `message` unless `condition` holds."""
    if not condition:
        raise ValueError(message)


def require_positive(config: object, *names: str) -> None:
    """Raise ValueError unless every named field is an integer of 1 or more."""
    for name in names:
        value = getattr(config, name)
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        require(is_count, f"{name} is {value!r}; it must be an integer of 1 or more")


def require_divides(config: object, divisor: str, whole: str) -> None:
    """Raise ValueError unless the field `divisor` divides the field `whole`."""
    part, all_of_it = getattr(config, divisor), getattr(config, whole)
    require(all_of_it % part == 0, f"{whole} {all_of_it} is not a multiple of {divisor} {part}")
