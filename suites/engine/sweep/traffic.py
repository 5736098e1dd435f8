"""What a round of the Triton kernel moves and multiplies, and a call has alive, by formula.

Bytes are those that programs ask for: what several of them read comes from a GPU's caches, where
qk, v and the gradients of a batch that fits there are read many times. No torch.
"""

from dataclasses import dataclass

from suites.settings import Settings

INT, FLOAT = 4, 4  # bytes of a position, a cell, a float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Sizes of a round: of a chunk that is cut into tiles of `rows` without rest."""

    width: int
    element: int  # bytes of a number of qk and v
    n_rounds: int
    number: int  # from 0
    chunk_length: int
    chunks_before: int
    rows: int
    needs_cells: bool = True

    @property
    def window(self) -> int:
        """Return how many keys a query meets."""
        return (self.chunks_before + 1) * self.chunk_length

    @property
    def cells(self) -> int:
        """Return the bytes of a position's cells."""
        return INT * self.n_rounds if self.needs_cells else 0

    @property
    def is_last(self) -> bool:
        """Return whether the results are written, not sums of float32."""
        return self.number == self.n_rounds - 1


def alive_bytes(s: Settings) -> int:
    """Count what the backward pass of one call has alive besides qk and v.

    That is the output, its gradient and those of qk and v; of 16 bits and several rounds, the sums
    of the last two in float32; and for each position and head its place and, if needed, its cell
    in each round, the log-normaliser, and that again beside delta. Where buckets end is not
    counted.
    """
    config, element = s.lsh(), 2 if s.precision == "bfloat16" else FLOAT
    sums = 2 * FLOAT if element < FLOAT and config.n_rounds > 1 else 0
    needs_cells = config.within_bucket or config.corrects
    numbers = (1 + needs_cells) * config.n_rounds + 3
    return s.batch * s.length * ((4 * element + sums) * s.d_model + INT * s.n_heads * numbers)


def forward_bytes(r: Round) -> float:
    """Count the bytes of a forward round, of one position and head."""
    row = r.width * r.element
    met = r.window / r.rows  # rows that are read for each of the tile's
    read = INT + row + r.cells + met * (INT + 2 * row + r.cells)
    if r.number > 0:
        read += FLOAT + FLOAT * r.width
    return read + FLOAT + (row if r.is_last else FLOAT * r.width)


def backward_bytes(r: Round) -> float:
    """Count the bytes of a backward round, of one position and head."""
    row = r.width * r.element
    met = r.window / r.rows
    as_queries = met * (INT + 2 * row + r.cells)
    as_keys = met * (INT + 2 * row + 2 * FLOAT + r.cells)
    read = INT + 3 * row + 2 * FLOAT + r.cells + as_queries + as_keys
    if r.number > 0:
        read += 2 * FLOAT * r.width
    return read + 2 * (row if r.is_last else FLOAT * r.width)


def backward_run_bytes(r: Round, chunks: int) -> float:
    """Count the bytes of a backward round in runs of chunks, of one position and head.

    A chunk's rows are met by its own queries and by the next chunk's, which also meet the rows of
    the chunk before the run.
    """
    row = r.width * r.element
    before = 1 / chunks
    as_keys = (1 + before) * (INT + 2 * row + r.cells)
    as_queries = (2 + before) * (INT + 2 * row + 2 * FLOAT + r.cells)
    read = as_keys + as_queries + row + FLOAT
    if r.number > 0:
        read += 2 * FLOAT * r.width
    return read + 2 * (row if r.is_last else FLOAT * r.width)


def forward_flop(r: Round) -> int:
    """Count the operations of a forward round's products, of one position and head."""
    return 2 * 2 * r.window * r.width


def backward_flop(r: Round) -> int:
    """Count those of a backward round: three products as queries, four as keys."""
    return 7 * 2 * r.window * r.width


def backward_run_flop(r: Round, chunks: int) -> float:
    """Count those of a backward round in runs of chunks: five products of each pair once."""
    return (2 + 1 / chunks) * 5 * 2 * r.chunk_length * r.width
