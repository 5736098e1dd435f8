"""Memory is measured in a pass of its own: the peak of one training step.

It is a pass of its own because hooks and resets disturb timing. The region is one step after one
warm-up step, with gradients and optimizer state allocated before it, so that what the step adds to
the baseline is the rest: activations and workspace. It is watched twice: from outside (the kernel's
high-water mark, or the allocator), and by the storage of live tensors, which is exact and the same
on every machine.
"""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from suites.engine.measure.device import Device


class LivePeak(TorchDispatchMode):
    """Count the bytes of storage behind all tensors alive, and their peak.

    The count is taken after each PyTorch operation inside. `existing`: tensors alive before, to be
    counted from the start. What a fused kernel or compiled code allocates and frees inside one
    operation is not seen.
    """

    def __init__(self, existing: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.bytes = self.peak_bytes = 0
        self._alive: dict[int, weakref.finalize] = {}
        for tensor in existing:
            self._count(tensor)
        self.baseline_bytes = self.bytes

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run the operation and count its results."""
        results = operation(*args, **(kwargs or {}))
        for result in tree_iter(results):
            if isinstance(result, Tensor):
                self._count(result)
        return results

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Return True: compiled code runs inside as it does outside; only its results are seen."""
        return True

    def __exit__(self, *exception: Any) -> None:
        """Stop watching everything, also the tensors that live on."""
        super().__exit__(*exception)
        for watch in self._alive.values():
            watch.detach()
        self._alive.clear()

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        n_bytes = storage.nbytes()
        self._alive[key] = weakref.finalize(storage, self._forget, key, n_bytes)
        self.bytes += n_bytes
        self.peak_bytes = max(self.peak_bytes, self.bytes)

    def _forget(self, key: int, n_bytes: int) -> None:
        self.bytes -= n_bytes
        del self._alive[key]


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Add up the bytes of the storages behind these tensors, each storage once."""
    storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def optimizer_tensors(optimizer: torch.optim.Optimizer | None) -> list[Tensor]:
    """List the tensors of the state that an optimizer keeps."""
    if optimizer is None:
        return []
    return [value for value in tree_iter(optimizer.state_dict()) if isinstance(value, Tensor)]


def measure_memory(
    step: Callable[[], object],
    device: Device,
    parameters: Iterable[nn.Parameter | Tensor],
    optimizer: torch.optim.Optimizer | None = None,
    inputs: Iterable[Tensor] = (),
    warm_up: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Measure the memory of one call of `step` after a call of `warm_up`, by default `step` too.

    Returns the `memory` part of a record (Memory in suites.engine.store.records), all in bytes:
    peak_bytes = weights + gradients + optimizer state + rest, the interpreter and its libraries
    subtracted. Both functions must leave the gradients allocated. inputs: other tensors that live
    through the step, such as the batch.
    """
    # the warm-up is watched too: watching takes 3 to 70 MiB the first time
    with LivePeak():
        (warm_up or step)()
    parameters = list(parameters)
    gradients = [p.grad for p in parameters if p.grad is not None]
    state = optimizer_tensors(optimizer)
    kept = {
        "weights_bytes": storage_bytes(parameters),
        "gradients_bytes": storage_bytes(gradients),
        "optimizer_bytes": storage_bytes(state),
    }
    with device.watch_peak() as outside:
        with LivePeak([*parameters, *gradients, *state, *inputs]) as inside:
            step()
    rest = max(0, outside.peak - outside.baseline)
    reserved = {} if outside.reserved is None else {"reserved_bytes": outside.reserved}
    return {
        "peak_bytes": outside.peak if device.type == "cuda" else sum(kept.values()) + rest,
        "live_peak_bytes": inside.peak_bytes,
        **reserved,
        "method": outside.method,
        "baseline_bytes": outside.baseline,
        **kept,
        "rest_bytes": rest,
        "live_rest_bytes": inside.peak_bytes - inside.baseline_bytes,
    }
