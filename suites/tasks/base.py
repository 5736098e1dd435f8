"""A task makes batches from (length, batch, seed) and knows trivial models to compare with."""

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor

# A target that no loss counts; also the default of torch's cross_entropy.
IGNORED = -100

Batches = Iterator[tuple[Tensor, Tensor]]


class Task(Protocol):
    """A task is data for a next-symbol model.

    Batches are (tokens, targets), both (batch, length) int64 on the CPU. `targets[:, t]` is
    what is to be predicted from the tokens up to t, in texts the symbol after `tokens[:, t]`, or
    IGNORED where the task does not count it.
    """

    @property
    def name(self) -> str: ...

    @property
    def vocabulary(self) -> int:
        """Return the number of symbols; they are 0 ... vocabulary - 1."""

    def describe(self) -> dict[str, Any]:
        """Describe the data for a record, as values that JSON can hold.

        The keys "name", "stand_in", "source", "bytes", "splits" {"train", "valid", "test"} in bytes
        (None where sequences are generated) are always there, and "sha256" or "version".
        """

    def train_batches(self, length: int, batch: int, seed: int) -> Batches:
        """Yield training batches without end; the same seed gives the same batches.

        Raises ValueError on a length that the task does not have.
        """

    def heldout_batches(self, length: int, batch: int, tokens: int) -> Batches:
        """Yield the first held-out tokens as consecutive windows of `length`, always the same.

        `tokens` is rounded down to whole windows, at least one, at most what the held-out part has;
        the last batch may be smaller. Raises ValueError on a length that the task does not have.
        """

    def heldout_reference(self, length: int, tokens: int) -> dict[str, float]:
        """Return the bits per dim of trivial models on the first `tokens` held-out tokens.

        They come in windows of `length`, as in heldout_batches. The keys are the models' names.
        """
