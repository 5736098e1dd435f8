"""What a forward pass decides at random: hashes and dropout masks, told by a seed for each branch.

In training every call draws anew, on each data-parallel rank for itself; a call that is recomputed
(`torch.utils.checkpoint`) repeats what it drew. In evaluation every call draws the same.
"""

import weakref
from dataclasses import dataclass

import torch
from torch import Tensor

from reformer.recording import version_of
from reformer.sorting import SortedRounds

SEEDS = 2**62
# Seeds of neighbouring ranks lie this far apart: an odd number of about SEEDS / golden ratio.
RANK_STEP = 2850138909163870229


@dataclass(slots=True)
class Choices:
    """Keep all that a branch decides at random in a forward pass, so that it can be repeated."""

    seed: int
    rounds: SortedRounds | None = None  # the sorted hash, once LSH attention has drawn it

    def generator(self, device: torch.device | str = "cpu") -> torch.Generator:
        """Make a generator in the state in which this pass of the branch starts.

        There is none on meta, where nothing is drawn; it is the CPU's.
        """
        device = "cpu" if torch.device(device).type == "meta" else device
        return torch.Generator(device=device).manual_seed(self.seed)


@dataclass(eq=False)
class Drawn:
    """Remember the seeds of one call, as long as its graph is there to be differentiated."""

    tokens: Tensor
    version: int
    seeds: list[list[int]]

    def is_of(self, tokens: Tensor) -> bool:
        """Was the call made with these very tokens?"""
        mine = self.tokens
        same = mine.data_ptr() == tokens.data_ptr() and mine.shape == tokens.shape
        return same and mine.stride() == tokens.stride() and self.version == version_of(tokens)


class ChoiceSource:
    """Draw the choices of each call of a model from the model's own generator."""

    def __init__(self) -> None:
        self.calls: weakref.WeakSet[Drawn] = weakref.WeakSet()

    def __reduce__(self) -> tuple[type["ChoiceSource"], tuple[()]]:
        """Copy without the calls: their graphs stay with the first."""
        return ChoiceSource, ()

    def draw(
        self, generator: torch.Generator, tokens: Tensor, n_layers: int
    ) -> tuple[list[tuple[Choices, Choices]], Drawn]:
        """Draw for a training call, or repeat what was drawn if it is one recomputed.

        Returns the choices, and what must live as long as the call's graph. Raises RuntimeError if
        a call is recomputed and it cannot be told which.
        """
        if torch._C._current_graph_task_id() == -1:
            seeds = _draw_seeds(generator, n_layers)
            step = _rank() * RANK_STEP
            seeds = [[(s + step) % SEEDS for s in of_layer] for of_layer in seeds]
            drawn = Drawn(tokens, version_of(tokens), seeds)
            self.calls.add(drawn)
        else:
            drawn = self._recomputed(tokens)
        return [(Choices(a), Choices(b)) for a, b in drawn.seeds], drawn

    def _recomputed(self, tokens: Tensor) -> Drawn:
        """Find the one call with these tokens that is not differentiated yet."""
        found = [call for call in self.calls if call.is_of(tokens)]
        if len(found) != 1:
            raise RuntimeError(
                "a training forward pass runs inside a backward pass, as torch.utils.checkpoint "
                f"does, but {len(found)} calls had these tokens, so its hashes and masks cannot be "
                "repeated: use use_reentrant=False, and pass tokens.clone() where the same tokens "
                "are used in several calls before a backward pass"
            )
        return found[0]


def draw_in_evaluation(seed: int, n_layers: int) -> list[tuple[Choices, Choices]]:
    """Draw the same choices at every call."""
    seeds = _draw_seeds(torch.Generator().manual_seed(seed), n_layers)
    return [(Choices(a), Choices(b)) for a, b in seeds]


def keep_with_graph(x: Tensor, kept: object) -> None:
    """Keep an object as long as the graph behind x; nothing if there is none."""
    if x.grad_fn is not None:
        x.grad_fn.metadata[__name__] = kept  # type: ignore[index]  # a property, typed as a method


def _draw_seeds(generator: torch.Generator, n_layers: int) -> list[list[int]]:
    drawn: list[list[int]] = torch.randint(
        SEEDS, (n_layers, 2), generator=generator, device="cpu"
    ).tolist()
    return drawn


def _rank() -> int:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    return 0
