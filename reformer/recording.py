"""Make the very call of a module again that was made before, whatever happened in between.

What recomputes activations (reversible layers, feed-forward in pieces) must compute what the
forward pass computed. So a recording keeps what decides that beside the input: the module's mode,
hooks and other attributes, its parameters and buffers (also those that `torch.func.functional_call`
put in their place) as they were before it, the precision (autocast), and the states of all
generators that it drew from: the global ones of PyTorch, NumPy and Python, and the module's own.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from reformer.autocast import autocast_device
from reformer.hooks import hooks_of_all_modules
from reformer.sources import TABLES, Source, runs_code_of_others, sources_of

State = dict[str, Any]
# Buffers of more numbers are not copied at each call; they must not change.
MOST_COPIED = 2**22
# How far the norm of an output may be off that was computed from rebuilt activations.
REBUILT_WITHIN = {torch.float64: 1e-6, torch.float32: 1e-2}
REBUILT_WITHIN_IN_HALF = 0.1
_here = threading.local()
_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_of_locks = threading.Lock()


class Recording:
    """A recording of a module at one of its calls.

    tensors: its parameters, then its buffers, each once; after the call, buffers as they were
    before it. Give them to `save_for_backward` and take from there what `again` gets: so PyTorch
    refuses weights that were changed in place meanwhile. Raises RuntimeError for a module whose
    parameters cannot be replaced.
    """

    def __init__(self, module: nn.Module, like: Tensor) -> None:
        self.module = module
        self.modules = list(module.modules())
        for one in self.modules:
            _require_replaceable(one)
        with _one_at_a_time(self.modules):
            self.states = [_copy_of(vars(one)) for one in self.modules]
        places: dict[int, list[tuple[int, str, str]]] = {}
        tensors: dict[int, Tensor] = {}
        for kind in ("_parameters", "_buffers"):
            for number, state in enumerate(self.states):
                for name, tensor in state[kind].items():
                    if tensor is not None:
                        tensors[id(tensor)] = tensor
                        places.setdefault(id(tensor), []).append((number, kind, name))
        self.tensors, self.places = list(tensors.values()), list(places.values())
        kind = autocast_device(like)
        self.autocast = kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
        self.others = [one for one in self.modules if runs_code_of_others(one)]
        self.sources = sources_of(self.others, like.device)
        self.norm: float | None = None  # of the output, where code of others made it
        self.drawn: list[tuple[Source, Any]] = []  # what was drawn from, with its state before
        self.copied: set[int] = set()  # places in `tensors` of buffers as they were

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the call that is recorded: what did it draw from, which buffers may it change?

        Raises RuntimeError if it changed other tensors in place, which nobody can put back.
        """
        may_change = [*self.others, *filter(_has_statistics, self.modules)]
        changing = {id(x) for one in may_change for x in one.buffers(recurse=False)}
        before = {
            i: x.clone()
            for i, x in enumerate(self.tensors)
            if id(x) in changing and x.numel() <= MOST_COPIED
        }
        attributes = [x for state in self.states for x in state.values() if isinstance(x, Tensor)]
        fixed = [x for i, x in enumerate(self.tensors) if i not in before] + attributes
        versions = [version_of(x) for x in fixed]
        states = [source.read() for source in self.sources]
        with _without_cache():
            yield
        for source, state in zip(self.sources, states, strict=True):
            if not source.is_in(state):
                self.drawn.append((source, state))
        if versions != [version_of(x) for x in fixed]:
            raise RuntimeError(
                f"{type(self.module).__name__} changes a parameter, a tensor among its attributes "
                f"or a buffer of over {MOST_COPIED} numbers in place when it is called, and could "
                "not be computed again as it was: make it a smaller buffer, or use "
                "reversible=False, ff_chunks=1 and loss_chunks=1"
            )
        for i, copy in before.items():
            self.tensors[i] = copy
        self.copied = set(before)

    @contextmanager
    def again(
        self, tensors: Sequence[Tensor], needs_grad: Sequence[bool], is_first: bool = False
    ) -> Iterator[None]:
        """Put the module back into its state at the call, for the length of a block.

        Its parameters are fresh leaves there, which need gradients as said: what is derived from
        them reaches no hook and no accumulated gradient of the module's own. is_first: this is the
        call itself, and what it sets stays set.
        """
        states = [_copy_of(state) for state in self.states]
        leaves = set()
        for i, (tensor, needs) in enumerate(zip(tensors, needs_grad, strict=True)):
            numbers = tensor.clone() if i in self.copied else tensor
            leaf = _leaf(numbers, self.tensors[i]).requires_grad_(needs)
            leaves.add(id(leaf))
            for number, kind, name in self.places[i]:
                states[number][kind][name] = leaf
        with _one_at_a_time(self.modules), _repeating(self):
            now = [vars(one) for one in self.modules]
            try:
                for one, state in zip(self.modules, states, strict=True):
                    one.__dict__ = state
                with torch.autocast(*self.autocast), _without_cache(), self._same_draws():
                    yield
            finally:
                for one, state, made in zip(self.modules, now, states, strict=True):
                    one.__dict__ = state
                    if is_first:
                        _keep_what_was_set(state, made, leaves)

    def note(self, out: Tensor) -> None:
        """Note what the call gave, if it ran code of others, on the CPU.

        On a GPU that would wait for the device.
        """
        foreign = self.others or hooks_of_all_modules()
        self.norm = _norm(out) if foreign and out.device.type == "cpu" else None

    def require_same(self, out: Tensor) -> None:
        """Raise RuntimeError if the call was made again and gave something else."""
        if self.norm is None:
            return
        found, within = _norm(out), REBUILT_WITHIN.get(out.dtype, REBUILT_WITHIN_IN_HALF)
        if abs(found - self.norm) > within * max(found, self.norm):
            raise RuntimeError(
                f"{type(self.module).__name__} gave something else when it was computed again: "
                "something decides what it gives that is not put back, such as a counter in a "
                "closure, in an object or in a list within a list; keep it in an attribute or "
                "buffer of the module, or use reversible=False, ff_chunks=1 and loss_chunks=1"
            )

    def padded(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """Follow the gradients of the parameters by None for each buffer."""
        return *grads, *[None] * (len(self.tensors) - len(grads))

    @contextmanager
    def _same_draws(self) -> Iterator[None]:
        now = [source.read() for source, _ in self.drawn]
        try:
            for source, state in self.drawn:
                source.write(state)
            yield
        finally:
            for (source, _), state in zip(self.drawn, now, strict=True):
                source.write(state)


@contextmanager
def _one_at_a_time(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Wait until no other thread has one of these modules in an earlier state."""
    with _of_locks:
        locks = [_locks.setdefault(one, threading.RLock()) for one in sorted(modules, key=id)]
    with ExitStack() as held:
        for lock in locks:
            held.enter_context(lock)
        yield


def _has_statistics(module: nn.Module) -> bool:
    """Is it one of PyTorch's, which changes buffers, and does not always count that as a change?"""
    return type(module).__module__.endswith((".batchnorm", ".parametrizations"))


def _keep_what_was_set(state: State, made: State, leaves: set[int]) -> None:
    """Take over what a call set in a module, but for the leaves it had for parameters."""
    state |= {name: value for name, value in made.items() if name not in TABLES}
    found = made["_buffers"].items()
    state["_buffers"] |= {name: x for name, x in found if id(x) not in leaves}


def is_put_back(generator: torch.Generator) -> bool:
    """Does this thread make a recorded call again, with the generator in its state at the call?"""
    recordings: list[Recording] = getattr(_here, "recordings", [])
    return any(source.of is generator for one in recordings for source, _ in one.drawn)


@contextmanager
def _repeating(recording: Recording) -> Iterator[None]:
    before = getattr(_here, "recordings", [])
    _here.recordings = [*before, recording]
    try:
        yield
    finally:
        _here.recordings = before


def _norm(out: Tensor) -> float:
    return float(torch.linalg.vector_norm(out.detach(), dtype=torch.float64))


def _leaf(numbers: Tensor, like: Tensor) -> Tensor:
    """Make a leaf of the graph with the numbers of a tensor, type and attributes of another."""
    leaf = numbers.detach()
    if type(leaf) is not type(like):
        leaf.__class__ = type(like)
    vars(leaf).update(vars(like))
    return leaf


def version_of(tensor: Tensor) -> int:
    """Count the changes in place; those of inference tensors, which are not counted, are none."""
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def _without_cache() -> Iterator[None]:
    """Compute parametrized weights at each use: a cached one may have no graph, or another's."""
    enabled = parametrize._cache_enabled
    parametrize._cache_enabled -= enabled  # a count, which other threads change meanwhile
    try:
        yield
    finally:
        parametrize._cache_enabled += enabled


def _copy_of(state: State) -> State:
    """Copy the attributes of a module, and the tables of its parameters, hooks and so on."""
    return {
        name: value.copy() if name in TABLES and isinstance(value, dict) else value
        for name, value in state.items()
    }


def _require_replaceable(module: nn.Module) -> None:
    """Raise RuntimeError if parameters of a module cannot be replaced by others, or not yet."""
    name = type(module).__name__
    own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    if own and not isinstance(module._parameters, dict):
        raise RuntimeError(
            f"{name} is compiled by torch.jit, and cannot be computed again with other parameters: "
            "use it uncompiled, or with reversible=False, ff_chunks=1 and loss_chunks=1"
        )
    if any(is_lazy(p) for p in module._parameters.values() if p is not None):
        raise RuntimeError(
            f"{name} has no shape yet: call the model once under torch.no_grad() before training"
        )
