"""The configs hold every setting of the Reformer and every rule about its legal values.

`bucket_size` is the mean number of positions per bucket; `chunk_length` is the paper's m. By the
paper m = 2 l / n_buckets (section 2), so a chunk holds two mean buckets unless `chunk_length` says
otherwise. Scalars of NumPy and PyTorch become plain Python, and a config comes back equal from
`asdict` and from JSON. No torch.
"""

from dataclasses import dataclass, field, fields
from math import prod
from typing import Any, Literal

from reformer.checks import (
    is_number,
    make_plain,
    refuse_unknown,
    require,
    require_divides,
    require_integer,
    require_positive,
    require_positive_numbers,
    require_switches,
)

# From this many buckets on one rotation matrix costs more than the attention: hashing with it grows
# with l^2.
FACTORIZE_FROM = 128
# Subtracted from the logit of a position with itself, which then counts only when nothing else is
# left (eq. 16 and the text below it).
SELF_PENALTY = 1e5
# What the hash rotates by (reformer/hashing.py).
ROTATIONS = ("orthonormal", "normal")
# What the tables of position embeddings start from (reformer/positions.py).
POSITION_STARTS = ("sinusoids", "normal")
# Rooms of reformer/kernels.
KERNELS = ("auto", "plain", "blocked", "compiled", "flex", "native", "triton")


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
    chunks_before: int = 1  # chunks of look-back; the first looks around the edge to the last
    causal: bool = True
    within_bucket: bool = True  # keys of other buckets are masked (eq. 4)
    correct_duplicates: bool = True  # log N_ij is subtracted (eq. 16)
    logit_scale: float = 1.0  # multiplies q . k / |k|
    factorize_hash: bool = True  # from FACTORIZE_FROM buckets on
    rotation: str = "orthonormal"  # or "normal", as in the authors' code

    def __post_init__(self) -> None:
        make_plain(self)
        require_positive(self, "n_rounds", "bucket_size")
        if self.chunk_length is not None:
            require_positive(self, "chunk_length")
        require_integer("chunks_before", self.chunks_before, 0)
        require_switches(self, "causal", "within_bucket", "correct_duplicates", "factorize_hash")
        refuse_unknown(self.rotation, ROTATIONS, "rotation")
        require_positive_numbers(self, "logit_scale")
        # Triton compiles another kernel for an integer, though configs with 2 and 2.0 are equal
        object.__setattr__(self, "logit_scale", float(self.logit_scale))

    @property
    def m(self) -> int:
        """Return the chunk length in force, in positions."""
        return self.chunk_length or 2 * self.bucket_size

    @property
    def corrects(self) -> bool:
        """Return whether log N_ij is ever more than 0: a pair meets once in one round."""
        return self.correct_duplicates and self.n_rounds > 1

    def n_buckets(self, length: int) -> int:
        """Count the buckets for a sequence of `length` positions.

        length / bucket_size, rounded up to a number that angular hashing can make.
        """
        return prod(self.hash_factors(length))

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
    embedding_std: float = 1.0  # of token embeddings at the start; it multiplies positions too
    positions_start: str = "sinusoids"  # or "normal": without likeness between near positions
    tie_embeddings: bool = False  # the output layer has the token embeddings as its weight
    seed: int = 0  # of the weights, the hashes and dropout

    def __post_init__(self) -> None:
        make_plain(self)
        require_positive(self, "vocabulary", "length", "d_model", "d_ff", "n_heads", "n_layers")
        require_positive(self, "ff_chunks", "loss_chunks")
        require_divides(self, "n_heads", "d_model")
        require_switches(self, "reversible", "tie_embeddings")
        refuse_unknown(self.positions_start, POSITION_STARTS, "positions_start")
        require(
            is_number(self.dropout) and 0 <= self.dropout < 1,
            f"dropout is {self.dropout!r}; it must be in [0, 1)",
        )
        require_positive_numbers(self, "embedding_std")
        require(
            type(self.seed) is int and -(2**63) <= self.seed < 2**64,  # what a generator takes
            f"seed is {self.seed!r}; it must be an integer from -2^63 to 2^64 - 1",
        )
        if self.axial_positions is not None:
            sizes = self.axial_positions
            is_pair = isinstance(sizes, tuple) and len(sizes) == 2
            require(
                is_pair and all(type(size) is int and size >= 1 for size in sizes),
                f"axial_positions is {sizes!r}; it must be (rows, columns), integers of 1 or more",
            )
            rows, columns = sizes
            require(
                self.d_model >= 4,
                f"d_model is {self.d_model}; axial_positions give a quarter of it to the rows, and "
                "need 4 or more",
            )
            require(
                rows * columns >= self.length,
                f"axial_positions {rows} x {columns} hold {rows * columns} positions, "
                f"but length is {self.length}",
            )


LayerAttention = LSHConfig | Literal["dense"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReformerConfig(ModelConfig):
    """Set up the Reformer: shared-QK attention in reversible or ordinary residual layers.

    `attention`: LSH attention as its own config says, which can be a dict of its settings, or
    "dense" for full attention over unit keys; or a tuple of these, which the layers take in turn.
    Local attention is LSH attention with one bucket and one round: LSHConfig(n_rounds=1,
    bucket_size=length, chunk_length=m). Unless causal, its first chunk sees the last one too, as
    the first chunk of every round does. Raises ValueError on illegal values.
    """

    attention: LayerAttention | tuple[LayerAttention, ...] = field(default_factory=LSHConfig)
    kernel: str = "auto"  # one of reformer/kernels

    def __post_init__(self) -> None:
        # zero-argument super() does not work in a dataclass with slots
        ModelConfig.__post_init__(self)
        refuse_unknown(self.kernel, KERNELS, "kernel")
        several = isinstance(self.attention, tuple)
        layers = tuple(_attention_of(one) for one in self._turns())
        require(layers != (), "attention is (); it must name the attention of at least one layer")
        object.__setattr__(self, "attention", layers if several else layers[0])

    @property
    def attentions(self) -> tuple[LayerAttention, ...]:
        """Return the attention of each layer."""
        turns = self._turns()
        return tuple(turns[i % len(turns)] for i in range(self.n_layers))

    def _turns(self) -> tuple[LayerAttention, ...]:
        return self.attention if isinstance(self.attention, tuple) else (self.attention,)


def _attention_of(layer: Any) -> LayerAttention:
    """Return the attention of a layer, whose LSHConfig may be a dict of asdict, or of JSON."""
    if isinstance(layer, dict):
        for name in layer:
            refuse_unknown(name, [f.name for f in fields(LSHConfig)], "setting of LSHConfig")
        return LSHConfig(**layer)
    if not isinstance(layer, LSHConfig):
        refuse_unknown(layer, ["dense"], "attention")
    return layer
