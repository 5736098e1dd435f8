"""What a call of modules draws from, or changes on the way, can be read and put back.

That are the global generators of PyTorch, NumPy and Python, those that a module holds, or a
function that it runs, and the contents of its lists, sets and dicts.
"""

import inspect
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from reformer.hooks import has_hooks_of_all_modules

HOOKS = ("_forward_pre_hooks", "_forward_hooks")
OURS = ("torch", "reformer")  # packages whose modules have PyTorch's global generators alone


class Source(NamedTuple):
    """A source has a state, of which a call depends, that can be read and written.

    of: what is held, None of a global generator.
    """

    read: Callable[[], Any]
    write: Callable[[Any], object]
    of: object = None

    def is_in(self, state: Any) -> bool:
        """Is it in this state now?"""
        return _same(self.read(), state)


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


def sources_of(modules: Iterable[nn.Module], device: torch.device) -> list[Source]:
    """Return the sources of a call of these modules, on the CPU and a device.

    Modules of PyTorch and the Reformer without hooks have PyTorch's global generators alone.
    """
    found = [Source(torch.get_rng_state, torch.set_rng_state)]
    if device.type == "cuda":
        found.append(
            Source(
                lambda: torch.cuda.get_rng_state(device),
                lambda state: torch.cuda.set_rng_state(state, device),
            )
        )
    others = [module for module in modules if _runs_code_of_others(module)]
    if not others and not has_hooks_of_all_modules():
        return found
    found.append(Source(random.getstate, random.setstate))
    found.append(Source(np.random.get_state, np.random.set_state))
    held = {id(x): x for module in others for x in _held_by(module) if type(x) in GENERATORS}
    found += [GENERATORS[type(x)](x) for x in held.values()]
    kept = {id(x): x for module in others for x in _contents_of(module)}
    return found + [_container(x) for x in kept.values()]


def _runs_code_of_others(module: nn.Module) -> bool:
    """Has it hooks, or a forward of neither PyTorch nor the Reformer?"""
    if "forward" in vars(module) or any(vars(module)[kind] for kind in HOOKS):
        return True
    return type(module).forward.__module__.partition(".")[0] not in OURS


def _contents_of(module: nn.Module) -> Iterator[Any]:
    """Yield the lists, sets and dicts of a module that are not PyTorch's own."""
    for name, value in vars(module).items():
        if not name.startswith("_") and type(value) in (list, set, dict):
            yield value


def _container(held: Any) -> Source:
    def write(state: Any) -> None:
        held.clear()
        (held.extend if isinstance(held, list) else held.update)(state)

    return Source(held.copy, write, held)


def _held_by(module: nn.Module) -> Iterator[Any]:
    """Yield the attributes of a module, and what its hooks and its forward refer to."""
    yield from vars(module).values()
    functions: list[Any] = [hook for kind in HOOKS for hook in vars(module)[kind].values()]
    functions.append(module.forward)
    for function in functions:
        if inspect.isfunction(function) or inspect.ismethod(function):
            seen = inspect.getclosurevars(function)
            within = filter(inspect.isfunction, seen.nonlocals.values())
            functions.extend(one for one in within if one not in functions)
            yield from (*seen.nonlocals.values(), *seen.globals.values())


def _same(a: Any, b: Any) -> bool:
    """Are two states the same? What is held in them is compared by identity, but for numbers."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list) or (isinstance(a, tuple) and any(isinstance(x, np.ndarray) for x in a)):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return _same(a, b)
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    return a is b or (isinstance(a, (int, float, str)) and bool(a == b))
