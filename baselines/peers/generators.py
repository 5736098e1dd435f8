"""Keep what the peers draw at random apart from everybody else's draws.

The peers take no generator: they draw from torch's global ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def kept_generators(seed: int | None = None) -> Iterator[None]:
    """Put torch's global generators back after the block; seed them for it if a seed is given."""
    generators = [torch.default_generator, *torch.cuda.default_generators]
    states = [generator.get_state() for generator in generators]
    try:
        if seed is not None:
            torch.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def draw_seed(generator: torch.Generator) -> int:
    """Draw a seed in [0, 2^62) for another generator."""
    return int(torch.randint(2**62, (), generator=generator, device="cpu"))
