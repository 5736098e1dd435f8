"""Refuse what is illegal with one sentence, which says what was asked and what is legal.

No torch.
"""

import importlib
import sys
from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

MOST = 2**40  # of what is counted, where nothing else bounds it: more is no size of a tensor


def refuse_unknown(name: str, legal: Iterable[str], what: str) -> None:
    """Raise ValueError, naming the nearest legal name, if `name` is not one of `legal`."""
    legal = list(legal)
    if name in legal:
        return
    near = get_close_matches(str(name), legal, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown {what} {name!r}; {hint}legal: {', '.join(legal)}")


def refuse_each_unknown(names: Iterable[str], legal: Iterable[str], what: str) -> None:
    """Raise ValueError if one of `names` is not one of `legal`, or stands there twice."""
    names = list(names)
    for name in names:
        refuse_unknown(name, legal, what)
        require(names.count(name) == 1, f"{what} {name!r} is asked for twice; say it once")


def require(condition: bool, message: str) -> None:
    """Raise ValueError with `message` unless `condition` holds."""
    if not condition:
        raise ValueError(message)


def require_positive(config: object, *names: str) -> None:
    """Raise ValueError unless every named field is an integer of 1 or more."""
    for name in names:
        require_integer(name, getattr(config, name), 1)


def require_integer(name: str, value: object, least: int, most: int | None = None) -> None:
    """Raise ValueError unless the value of this name is an integer of `least` (to `most`)."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= least
    legal = f"from {least} to {most or MOST}"
    if most is None and not is_count:
        legal = f"an integer of {least} or more"
    is_legal = is_count and value <= (most or MOST)  # type: ignore[operator]
    require(is_legal, f"{name} is {value!r}; it must be {legal}")


def require_positive_numbers(config: object, *names: str) -> None:
    """Raise ValueError unless every named field is a number above 0 and finite."""
    for name in names:
        value = getattr(config, name)
        require(
            is_number(value) and 0 < value <= sys.float_info.max,
            f"{name} is {value!r}; it must be positive and finite",
        )


def require_switches(config: object, *names: str) -> None:
    """Raise ValueError unless every named field is True or False; "false" and 0 are not."""
    for name in names:
        value = getattr(config, name)
        require(isinstance(value, bool), f"{name} is {value!r}; it must be True or False")


def is_number(value: object) -> bool:
    """Is this a Python number, which True and False are not meant to be?"""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def make_plain(config: Any) -> None:
    """Turn what other libraries and JSON put into a config's fields into plain Python.

    So a config equals, and hashes like, the one that was written as JSON or came out of an array.
    """
    for field in fields(config):
        object.__setattr__(config, field.name, plain(getattr(config, field.name)))


def plain(value: Any) -> Any:
    """Turn a scalar of NumPy or PyTorch into the Python number, and a list into a tuple."""
    if isinstance(value, (list, tuple)):
        return tuple(plain(part) for part in value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)  # of a named one too
    return value


def require_divides(config: object, divisor: str, whole: str) -> None:
    """Raise ValueError unless the field `divisor` divides the field `whole`."""
    part, all_of_it = getattr(config, divisor), getattr(config, whole)
    require(all_of_it % part == 0, f"{whole} {all_of_it} is not a multiple of {divisor} {part}")


def is_own(name: str) -> bool:
    """Does this name an object of the user's own, as "package.module:object"?"""
    return ":" in name


def find_own(name: str, what: str) -> Any:
    """Import the user's own object "package.module:object".

    Modules in the current folder are found too, after all installed ones. Raises ValueError, saying
    what is wrong, if there is no such module or object.
    """
    module_name, _, object_name = name.partition(":")
    # at the end: a file of the user's cannot take the place of an installed package
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return getattr(importlib.import_module(module_name), object_name)
    except (ImportError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{what} {name!r} cannot be imported ({error}); it must be package.module:function, "
            f"found from {here} or installed"
        ) from error
