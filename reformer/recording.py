"""Make the very call of a module again that was made before, whatever happened in between.

What recomputes activations (reversible layers, feed-forward in pieces) must compute what the
forward pass computed. So a recording keeps what decides that beside the input: the module's mode,
hooks and other attributes, its parameters and buffers (also those that `torch.func.functional_call`
put in their place) as they were before it, the precision (autocast), and the states of all
generators that it drew from: the global ones of PyTorch, NumPy and Python, and the module's own.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from reformer.autocast import autocast_device
from reformer.sources import Source, sources_of

State = dict[str, Any]
# Held while modules are recorded or are back in an earlier state: threads may share a model.
_ONE_AT_A_TIME = threading.RLock()
_here = threading.local()


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
        with _ONE_AT_A_TIME:
            self.states = [_state_of(one) for one in self.modules]
        places: dict[int, list[tuple[State, str]]] = {}
        tensors: dict[int, Tensor] = {}
        for kind in ("_parameters", "_buffers"):
            for state in self.states:
                for name, tensor in state[kind].items():
                    if tensor is not None:
                        tensors[id(tensor)] = tensor
                        places.setdefault(id(tensor), []).append((state[kind], name))
        self.tensors, self.places = list(tensors.values()), list(places.values())
        kind = autocast_device(like)
        self.autocast = kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
        self.sources = sources_of(self.modules, like.device)
        self.drawn: list[tuple[Source, Any]] = []  # what was drawn from, with its state before
        self.changed: set[int] = set()  # numbers of the buffers that the call changed in place

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the call that is recorded: what did it draw from, which buffers did it change?

        Raises RuntimeError if it changed other tensors in place, which nobody can put back.
        """
        buffers = {id(x) for state in self.states for x in state["_buffers"].values()}
        before = {i: x.clone() for i, x in enumerate(self.tensors) if id(x) in buffers}
        others = [x for state in self.states for x in state.values() if isinstance(x, Tensor)]
        seen = [(x, version_of(x)) for x in (*self.tensors, *others)]
        states = [source.read() for source in self.sources]
        with _without_cache():
            yield
        for source, state in zip(self.sources, states, strict=True):
            if not source.is_in(state):
                self.drawn.append((source, state))
        changed = {id(x) for x, version in seen if version != version_of(x)}
        if not changed <= buffers:
            raise RuntimeError(
                f"{type(self.module).__name__} changes a parameter, or a tensor among its "
                "attributes, in place when it is called, and could not be computed again as it "
                "was: make that a buffer, or use reversible=False, ff_chunks=1 and loss_chunks=1"
            )
        changed |= self._running_statistics()
        self.changed = {i for i in before if id(self.tensors[i]) in changed}
        for i in self.changed:
            self.tensors[i] = before[i]

    def _running_statistics(self) -> set[int]:
        """Tell which buffers PyTorch's norms update, without counting it as a change."""
        norms = [one for one in self.modules if isinstance(one, _NormBase) and one.training]
        return {id(x) for norm in norms for x in norm.buffers(recurse=False)}

    @contextmanager
    def again(self, tensors: Sequence[Tensor], needs_grad: Sequence[bool]) -> Iterator[None]:
        """Put the module back into its state at the call, for the length of a block.

        Its parameters are fresh leaves there, which need gradients as said: what is derived from
        them reaches no hook and no accumulated gradient of the module's own.
        """
        given = zip(tensors, needs_grad, self.places, strict=True)
        for i, (tensor, needs, places) in enumerate(given):
            leaf = _leaf(tensor.clone() if i in self.changed else tensor).requires_grad_(needs)
            for state, name in places:
                state[name] = leaf
        with _ONE_AT_A_TIME, _repeating(self):
            now = [vars(one) for one in self.modules]
            try:
                for one, state in zip(self.modules, self.states, strict=True):
                    one.__dict__ = state
                with torch.autocast(*self.autocast), _without_cache(), self._same_draws():
                    yield
            finally:
                for one, state in zip(self.modules, now, strict=True):
                    one.__dict__ = state

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


def _leaf(tensor: Tensor) -> Tensor:
    """Make a leaf of the graph with the numbers, type and attributes of a tensor."""
    leaf = tensor.detach()
    if type(leaf) is not type(tensor):
        leaf.__class__ = type(tensor)
    vars(leaf).update(vars(tensor))
    return leaf


def version_of(tensor: Tensor) -> int:
    """Count the changes in place; those of inference tensors, which are not counted, are none."""
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def _without_cache() -> Iterator[None]:
    """Compute parametrized weights at each use: a cached one may have no graph, or another's."""
    enabled, parametrize._cache_enabled = parametrize._cache_enabled, 0
    try:
        yield
    finally:
        parametrize._cache_enabled = enabled


def _state_of(module: nn.Module) -> State:
    """The attributes of a module, with copies of the tables of its parameters, hooks and so on."""
    return {
        name: value.copy() if name.startswith("_") and isinstance(value, dict) else value
        for name, value in vars(module).items()
    }


def _require_replaceable(module: nn.Module) -> None:
    """Raise RuntimeError if parameters of a module cannot be replaced by others, or not yet."""
    name = type(module).__name__
    if not isinstance(module._parameters, dict):
        raise RuntimeError(
            f"{name} is compiled by torch.jit, and cannot be computed again with other parameters: "
            "use it uncompiled, or with reversible=False, ff_chunks=1 and loss_chunks=1"
        )
    if any(is_lazy(p) for p in module._parameters.values() if p is not None):
        raise RuntimeError(
            f"{name} has no shape yet: call the model once under torch.no_grad() before training"
        )
