"""Make the very call of a module again that was made before, whatever happened in between.

What recomputes activations (reversible layers, feed-forward in pieces) must compute what the
forward pass computed. So a recording keeps what decides that beside the input: the module's mode,
hooks and other attributes, its parameters and buffers (also those that `torch.func.functional_call`
put in their place), the precision (autocast), and the state of PyTorch's global generators if the
call drew from them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from reformer.autocast import autocast_device

State = dict[str, Any]


class Recording:
    """A recording of a module at one of its calls.

    tensors: its parameters, then its buffers, each once. Give them to `save_for_backward` and take
    from there what `again` gets: so PyTorch refuses weights that were changed in place meanwhile.
    """

    def __init__(self, module: nn.Module, like: Tensor) -> None:
        self.module = module
        self.modules = list(module.modules())
        for one in self.modules:
            _require_replaceable(one)
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
        self.device = like.device
        self.random_state: list[Tensor] | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the call that is recorded: did it draw from PyTorch's global generators?"""
        before = _random_state(self.device)
        yield
        after = _random_state(self.device)
        if not all(map(torch.equal, before, after)):
            self.random_state = before

    @contextmanager
    def again(self, tensors: Sequence[Tensor], needs_grad: Sequence[bool]) -> Iterator[None]:
        """Put the module back into its state at the call, for the length of a block.

        Its parameters are fresh leaves there, which need gradients as said: what is derived from
        them reaches no hook and no accumulated gradient of the module's own.
        """
        for tensor, needs, places in zip(tensors, needs_grad, self.places, strict=True):
            leaf = tensor.detach().requires_grad_(needs)
            for state, name in places:
                state[name] = leaf
        now = [vars(one) for one in self.modules]
        try:
            for one, state in zip(self.modules, self.states, strict=True):
                one.__dict__ = state
            with torch.autocast(*self.autocast), self._same_random_numbers():
                yield
        finally:
            for one, state in zip(self.modules, now, strict=True):
                one.__dict__ = state

    def padded(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """Follow the gradients of the parameters by None for each buffer."""
        return *grads, *[None] * (len(self.tensors) - len(grads))

    @contextmanager
    def _same_random_numbers(self) -> Iterator[None]:
        if self.random_state is None:
            yield
            return
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.set_rng_state(self.random_state[0])
            if devices:
                torch.cuda.set_rng_state(self.random_state[1], self.device)
            yield


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


def _random_state(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


def has_hooks_of_all_modules() -> bool:
    """Has PyTorch hooks that it runs at the call of every module?"""
    return bool(torch.nn.modules.module._has_any_global_hook())


def is_called_plainly(module: nn.Module, home: type[nn.Module]) -> bool:
    """Does calling the module run the forward of class `home`, and nothing else?"""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(vars(module)[name] for name in hooks) or "forward" in vars(module):
        return False
    return type(module).forward is home.forward
