"""The configs hold every setting of the Reformer and every rule about its legal values.

`bucket_size` is the mean number of positions per bucket; `chunk_length` is the paper's m. By the
paper m = 2 l / n_buckets (section 2), so a chunk holds two mean buckets unless `chunk_length` says
otherwise. No torch.
"""

from dataclasses import dataclass, field
from typing import Literal

from reformer.checks import refuse_unknown, require, require_divides, require_positive

# From this many buckets on one rotation matrix costs more than the attention: hashing with it grows
# with l^2.
FACTORIZE_FROM = 128
# Subtracted from the logit of a position with itself, which then counts only when nothing else is
# left (eq. 16 and the text below it).
SELF_PENALTY = 1e5


def bucket_factors(n_buckets: float) -> tuple[int, ...]:
    """Split a number of buckets into two even factors (a, b), so that two small rotations do.

    a * b is the smallest such product with a <= b <= 4 a that is at least `n_buckets`. The pair of
    buckets that the two rotations give is the bucket.
    """
    best = (0, 0)
    for small in range(2, int(n_buckets) + 3, 2):
        large = 2 * max(1, -int(-n_buckets // (2 * small)))
        if small <= large <= 4 * small and (best == (0, 0) or small * large <= best[0] * best[1]):
            best = (small, large)
        if small > large:
            break
    return best


@dataclass(frozen=True, slots=True, kw_only=True)
class LSHConfig:
    """Set up LSH attention; the defaults are the paper's.

    Raises ValueError on illegal values.
    """

    n_rounds: int = 4
    bucket_size: int = 32  # mean positions per bucket
    chunk_length: int | None = None  # m; None means 2 * bucket_size
    chunks_before: int = 1  # chunks of look-back
    causal: bool = True
    within_bucket: bool = True  # keys of other buckets are masked (eq. 4)
    correct_duplicates: bool = True  # log N_ij is subtracted (eq. 16)
    logit_scale: float = 1.0  # multiplies q . k / |k|
    factorize_hash: bool = True  # from FACTORIZE_FROM buckets on

    def __post_init__(self) -> None:
        require_positive(self, "n_rounds", "bucket_size")
        if self.chunk_length is not None:
            require_positive(self, "chunk_length")
        require(
            isinstance(self.chunks_before, int) and self.chunks_before >= 0,
            f"chunks_before is {self.chunks_before!r}; it must be an integer of 0 or more",
        )
        require(self.logit_scale > 0, f"logit_scale is {self.logit_scale}; it must be positive")

    @property
    def m(self) -> int:
        """Return the chunk length in force, in positions."""
        return self.chunk_length or 2 * self.bucket_size

    def n_buckets(self, length: int) -> int:
        """Count the buckets for a sequence of `length` positions.

        length / bucket_size, rounded up to a number that angular hashing can make.
        """
        product = 1
        for factor in self.hash_factors(length):
            product *= factor
        return product

    def hash_factors(self, length: int) -> tuple[int, ...]:
        """Return the number of buckets of each rotation, whose product is `n_buckets(length)`.

        (1,) without a rotation, (n,) with one and (a, b) with two.
        """
        wanted = length / self.bucket_size
        if wanted <= 1:
            return (1,)
        if self.factorize_hash and wanted >= FACTORIZE_FROM:
            return bucket_factors(wanted)
        return (2 * -int(-wanted // 2),)

    def require_length(self, length: int) -> None:
        """Raise ValueError, naming the nearest legal lengths, unless m divides `length`."""
        below = length // self.m * self.m
        near = f"{below}, {below + self.m}" if below else f"{self.m}"
        require(
            length > 0 and length % self.m == 0,
            f"length {length} is not a multiple of chunk_length {self.m}; nearest legal: {near}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Set up what the Reformer and its dense twin share.

    Raises ValueError on illegal values.
    """

    vocabulary: int
    length: int  # the longest sequence
    d_model: int = 256
    d_ff: int = 1024
    n_heads: int = 4
    n_layers: int = 2
    reversible: bool = True
    ff_chunks: int = 1  # pieces of the length in the feed-forward layer, forward and backward
    loss_chunks: int = 1  # pieces of the length in the output layer and the loss
    dropout: float = 0.0
    axial_positions: tuple[int, int] | None = None  # (rows, columns), rows * columns >= length
    seed: int = 0  # of the weights, the hashes and dropout

    def __post_init__(self) -> None:
        require_positive(self, "vocabulary", "length", "d_model", "d_ff", "n_heads", "n_layers")
        require_positive(self, "ff_chunks", "loss_chunks")
        require_divides(self, "n_heads", "d_model")
        require(0 <= self.dropout < 1, f"dropout is {self.dropout}; it must be in [0, 1)")
        if self.axial_positions is not None:
            require(
                len(self.axial_positions) == 2 and min(self.axial_positions) >= 1,
                f"axial_positions is {self.axial_positions}; it must be (rows, columns), 1 or more",
            )
            rows, columns = self.axial_positions
            require(
                rows * columns >= self.length,
                f"axial_positions {rows} x {columns} hold {rows * columns} positions, "
                f"but length is {self.length}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReformerConfig(ModelConfig):
    """Set up the Reformer: shared-QK attention in reversible or ordinary residual layers.

    `attention`: LSH attention as its own config says, or "dense" for full attention over unit keys.
    Raises ValueError on illegal values.
    """

    attention: LSHConfig | Literal["dense"] = field(default_factory=LSHConfig)
    kernel: str = "auto"  # one of reformer/kernels

    def __post_init__(self) -> None:
        # zero-argument super() does not work in a dataclass with slots
        ModelConfig.__post_init__(self)
        if not isinstance(self.attention, LSHConfig):
            refuse_unknown(self.attention, ["dense"], "attention")
