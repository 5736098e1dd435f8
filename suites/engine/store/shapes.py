"""Data read from a file is checked for the shape that a TypedDict declares. No torch."""

import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict


def misfit(value: Any, shape: Any, where: str = "it") -> str:
    """Say what is wrong with a value that should have this shape; "" if nothing is.

    shape: a TypedDict, list[...], tuple[...] for a list, dict[str, ...], a union, a Literal, None,
    Any, bool, int, float, str. More keys than a TypedDict declares are no fault: later versions add
    some.
    """
    origin, arguments = get_origin(shape), get_args(shape)
    if shape is Any:
        return ""
    if is_typeddict(shape):
        return _misfit_of_keys(value, shape, where)
    if origin in (Union, types.UnionType):
        found = [misfit(value, one, where) for one in arguments]
        # what is wrong with the last alternative that is not None says most
        return "" if "" in found else found[-1] if arguments[-1] is not type(None) else found[0]
    if origin is Literal:
        return "" if value in arguments else f"{where} is {value!r}, not one of {arguments}"
    if origin in (list, tuple):  # JSON has no tuples
        if not isinstance(value, list):
            return f"{where} is {_kind(value)}, not a list"
        return next(filter(None, (misfit(one, arguments[0], where) for one in value)), "")
    if origin is dict:
        if not isinstance(value, dict):
            return f"{where} is {_kind(value)}, not an object"
        items = (misfit(one, arguments[1], f"{where}.{key}") for key, one in value.items())
        return next(filter(None, items), "")
    wanted: Any = {float: (int, float), None: type(None)}.get(shape, shape)
    fits = isinstance(value, wanted) and (shape is bool or not isinstance(value, bool))
    return "" if fits else f"{where} is {_kind(value)}, not {getattr(shape, '__name__', shape)}"


def _misfit_of_keys(value: Any, shape: Any, where: str) -> str:
    if not isinstance(value, dict):
        return f"{where} is {_kind(value)}, not an object"
    missing = sorted(shape.__required_keys__ - value.keys())
    if missing:
        return f"{where} has no {missing[0]!r}"
    for key, hint in get_type_hints(shape).items():
        if key in value:
            problem = misfit(value[key], hint, key if where == "it" else f"{where}.{key}")
            if problem:
                return problem
    return ""


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
