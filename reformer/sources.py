"""What a call of modules draws from, or changes on the way, can be read and put back.

That are the global generators of PyTorch, NumPy and Python, those that a module holds, or a
function that it runs, and the contents of its lists, sets and dicts.
"""

import inspect
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from operator import is_
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from reformer.hooks import hooks_of_all_modules

HOOKS = ("_forward_pre_hooks", "_forward_hooks")
TABLES = set(vars(nn.Module()))  # PyTorch's own of each module
OURS = ("torch", "reformer", "numpy")  # whose code has PyTorch's global generators alone, or none
MOST_CONTENTS = 1000  # of a container; larger ones hold data, and are not looked at
MOST_FUNCTIONS = 200  # that are followed from one module; a whole library is not


class Source(NamedTuple):
    """A source has a state, of which a call depends, that can be read and written.

    of: what is held, None of Python's and NumPy's global generators.
    """

    read: Callable[[], Any]
    write: Callable[[Any], object]
    of: object = None

    def is_in(self, state: Any) -> bool:
        """Is it in this state now?"""
        return _same(self.read(), state)


def sources_of(others: Sequence[nn.Module], device: torch.device) -> list[Source]:
    """Return the sources of a call, on the CPU and a device, in which these run code of others.

    Modules of PyTorch and the Reformer without hooks have PyTorch's global generators alone.
    """
    found = [Source(torch.get_rng_state, torch.set_rng_state, torch.default_generator)]
    if device.type == "cuda":
        found.append(
            Source(
                lambda: torch.cuda.get_rng_state(device),
                lambda state: torch.cuda.set_rng_state(state, device),
            )
        )
    if not others and not hooks_of_all_modules():
        return found
    found.append(Source(random.getstate, random.setstate))
    found.append(Source(np.random.get_state, np.random.set_state))
    every = [
        *(x for module in others for x in _held_by(module)),
        *_named_by(hooks_of_all_modules()),
    ]
    held = {id(x): x for x in every if type(x) in GENERATORS}
    found += [GENERATORS[type(x)](x) for x in held.values()]
    kept = {id(x): x for module in others for x in _containers_of(module)}
    return found + [_container(x) for x in kept.values()]


def runs_code_of_others(module: nn.Module) -> bool:
    """Has it hooks, or code of neither PyTorch nor the Reformer?"""
    if "forward" in vars(module) or any(vars(module)[kind] for kind in HOOKS):
        return True
    return not (_is_ours(type(module)) and _is_ours(type(module).forward))


def _is_ours(code: Any) -> bool:
    return (getattr(code, "__module__", None) or "").partition(".")[0] in OURS


def _containers_of(module: nn.Module) -> Iterator[Any]:
    for name, value in vars(module).items():
        is_container = type(value) in (list, set, dict) and len(value) <= MOST_CONTENTS
        if is_container and name not in TABLES:
            yield value


def _container(held: Any) -> Source:
    def write(state: Any) -> None:
        held.clear()
        (held.extend if isinstance(held, list) else held.update)(state)

    return Source(held.copy, write, held)


def _held_by(module: nn.Module) -> Iterator[Any]:
    """Yield the attributes of a module, and what its hooks and its forward refer to."""
    yield from vars(module).values()
    hooks = [hook for kind in HOOKS for hook in vars(module)[kind].values()]
    yield from _named_by([*hooks, module.forward])


def _named_by(functions: Iterable[Any]) -> Iterator[Any]:
    """Yield what functions and callable objects refer to, and what these call in turn."""
    todo, seen = list(functions), set[int]()
    for one in todo:
        if id(one) in seen or _is_ours(one) or len(seen) == MOST_FUNCTIONS:
            continue
        seen.add(id(one))
        if isinstance(one, partial):
            within = [one.func, *one.args, *one.keywords.values()]
        elif inspect.ismethod(one):
            is_module = isinstance(one.__self__, nn.Module)
            within = [one.__func__, *(() if is_module else _attributes(one.__self__))]
        elif inspect.isfunction(one):
            within = _named_in(one)
        else:  # an object that is called
            within = [*_attributes(one), type(one).__call__]
        yield from within
        todo += [x for x in within if inspect.isroutine(x) or isinstance(x, partial)]


def _attributes(held: Any) -> list[Any]:
    return list(getattr(held, "__dict__", {}).values())


def _named_in(function: Any) -> list[Any]:
    """Return what a function names: of functions around it, and of its module."""
    found = [
        function.__globals__[x] for x in function.__code__.co_names if x in function.__globals__
    ]
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not bound yet, or not any more
            continue
    return found


def _bits_of(generator: np.random.Generator) -> Source:
    bits = generator.bit_generator
    return Source(lambda: bits.state, lambda state: setattr(bits, "state", state), generator)


# By type, how to make a source of a generator that is held; to ask by isinstance takes too long.
GENERATORS: dict[type, Callable[[Any], Source]] = {
    type(torch.default_generator): lambda x: Source(x.get_state, x.set_state, x),
    random.Random: lambda x: Source(x.getstate, x.setstate, x),
    np.random.RandomState: lambda x: Source(x.get_state, x.set_state, x),
    np.random.Generator: _bits_of,
}


def _same(a: Any, b: Any) -> bool:
    """Are two states the same? Contents are compared by identity, arrays by their numbers."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, dict):
        return _same([*a, *a.values()], [*b, *b.values()])
    if isinstance(a, list):
        return len(a) == len(b) and all(map(is_, a, b))
    if isinstance(a, tuple) and any(isinstance(x, np.ndarray) for x in a):
        return all(map(_same, a, b))
    return bool(a == b)
