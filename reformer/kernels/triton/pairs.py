"""What forward and backward share: rows by position, windows of places, which pairs count.

What is read for each key alone is read as a tile with several columns: Triton reads a single column
of fewer numbers than threads anew in every thread that needs one, which took most of the time.

Shapes: X, M, N rows of a tile, W head width and C columns padded to powers of two. A block of pairs
has the queries down and the keys across, or the other way round.
"""

import triton
import triton.language as tl


@triton.jit
def load_rows(start, at_X, stride, WIDTH: tl.constexpr, BLOCK_W: tl.constexpr):
    """Load the rows of these positions, (X, W); what pads the width is 0."""
    w = tl.arange(0, BLOCK_W)
    where = start + at_X[:, None].to(tl.int64) * stride + w[None, :]
    if WIDTH == BLOCK_W:
        rows = tl.load(where)
    else:
        rows = tl.load(where, mask=w[None, :] < WIDTH, other=0.0)
    return rows


@triton.jit
def place_rows(start, at_X, stride, real_X, WIDTH: tl.constexpr, BLOCK_W: tl.constexpr):
    """Return where the rows of these positions are, and a mask of those that there are."""
    w = tl.arange(0, BLOCK_W)
    where = start + at_X[:, None].to(tl.int64) * stride + w[None, :]
    return where, real_X[:, None] & (w[None, :] < WIDTH)


@triton.jit
def load_positions(
    order,
    start,
    first,
    length,
    CHUNK_LENGTH: tl.constexpr,
    COUNT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Load the positions at BLOCK places from start + first on, around the edge of the round.

    start: where a chunk begins, from which there are COUNT places. Also tell which are real: those
    behind them are not, and repeat the last position.
    """
    j_X = first + tl.arange(0, BLOCK)
    if CHUNK_LENGTH % BLOCK == 0:  # all of them are of one chunk
        place = start + first
        place = tl.where(place < 0, place + length, place)
        place = tl.where(place >= length, place - length, place)
        place_X = place + tl.arange(0, BLOCK)
    else:
        place_X = start + tl.minimum(j_X, COUNT - 1)
        place_X = tl.where(place_X < 0, place_X + length, place_X)
        place_X = tl.where(place_X >= length, place_X - length, place_X)
    return tl.load(order + place_X), j_X < COUNT


@triton.jit
def inverse_norms(rows_XW, SHORTEST: tl.constexpr):
    """Compute 1 / |row|; 0 of a row no longer than SHORTEST, which has no direction."""
    in_float_XW = rows_XW.to(tl.float32)
    norms_X = tl.sqrt(tl.sum(in_float_XW * in_float_XW, axis=1))
    return tl.where(norms_X > SHORTEST, 1.0 / norms_X, 0.0)


@triton.jit
def load_columns(start, at_X, COUNT: tl.constexpr, NEEDED: tl.constexpr):
    """Load the COUNT numbers of each position, (X, C); zeros if they are not needed."""
    BLOCK_C: tl.constexpr = triton.next_power_of_2(COUNT)
    c = tl.arange(0, BLOCK_C)
    where = start + at_X[:, None].to(tl.int64) * COUNT + c[None, :]
    if not NEEDED:
        columns = tl.zeros(where.shape, start.dtype.element_ty)
    elif COUNT == BLOCK_C:
        columns = tl.load(where)
    else:
        columns = tl.load(where, mask=c[None, :] < COUNT, other=0)
    return columns


@triton.jit
def column(columns_XC, number, COUNT: tl.constexpr):
    """Take one column, (X)."""
    c = tl.arange(0, triton.next_power_of_2(COUNT))
    return tl.sum(tl.where(c[None, :] == number, columns_XC, 0), axis=1)


@triton.jit
def chunks_back(
    cells_q,
    cells_k,
    n_chunks,
    number,
    ROUNDS: tl.constexpr,
    AROUND: tl.constexpr,
    KEYS_ACROSS: tl.constexpr,
):
    """Count the chunks from query back to key in the bucket that they share in a round.

    It is the difference of their cells, or something larger than any window where they share none
    or the key is in a later chunk: without a sign that is a large number. Numbers are compared by
    what uses them, as a predicate for each pair would not fit into registers.
    """
    own_q, own_k = column(cells_q, number, ROUNDS), column(cells_k, number, ROUNDS)
    if KEYS_ACROSS:
        back = own_q[:, None] - own_k[None, :]
    else:
        back = own_q[None, :] - own_k[:, None]
    if back.dtype == tl.int64:
        back = back.to(tl.uint64, bitcast=True)
    else:
        back = back.to(tl.uint32, bitcast=True)
    if AROUND:
        back = tl.minimum(back, back + n_chunks.to(back.dtype))
    return back


@triton.jit
def counted_pairs(
    at_q,
    at_k,
    real,
    cells_q,
    cells_k,
    n_chunks,
    valid_length,
    ROUND: tl.constexpr,
    ROUNDS: tl.constexpr,
    CHUNKS_BEFORE: tl.constexpr,
    CAUSAL: tl.constexpr,
    PADDED: tl.constexpr,
    WITHIN_BUCKET: tl.constexpr,
    CORRECT: tl.constexpr,
    ALL_REAL: tl.constexpr,
    KEYS_ACROSS: tl.constexpr,
):
    """Tell which pairs count in this round.

    log N_ij (eq. 16) makes a pair that meets in several rounds count as one; here it counts in the
    first of them, which needs no weights. at_q, at_k: positions, one as a column and one as a row;
    real: of which pairs both exist; cells_q, cells_k: their cells in all rounds.
    """
    # of one bucket, what is around the edge of the round comes later
    AROUND: tl.constexpr = CHUNKS_BEFORE > 0 and not (CAUSAL and WITHIN_BUCKET)
    if CAUSAL:
        counted = at_k < at_q
    else:
        counted = at_k != at_q
        if PADDED:
            counted &= at_k < valid_length
    if not ALL_REAL:
        counted &= real
    if WITHIN_BUCKET:
        back = chunks_back(cells_q, cells_k, n_chunks, ROUND, ROUNDS, AROUND, KEYS_ACROSS)
        counted &= back <= CHUNKS_BEFORE
    if CORRECT and ROUND > 0:
        least = chunks_back(cells_q, cells_k, n_chunks, 0, ROUNDS, AROUND, KEYS_ACROSS)
        for earlier in tl.static_range(1, ROUND):
            back = chunks_back(cells_q, cells_k, n_chunks, earlier, ROUNDS, AROUND, KEYS_ACROSS)
            least = tl.minimum(least, back)
        counted &= least > CHUNKS_BEFORE
    return counted
