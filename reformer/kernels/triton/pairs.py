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
def load_positions(order, start, j_X, length, COUNT: tl.constexpr):
    """Load the positions at places start + j, around the edge of the round, and which are real.

    The j from COUNT on are not real; they repeat the last position.
    """
    real_X = j_X < COUNT
    place_X = start + tl.minimum(j_X, COUNT - 1)
    place_X = tl.where(place_X < 0, place_X + length, place_X)
    place_X = tl.where(place_X >= length, place_X - length, place_X)
    return tl.load(order + place_X), real_X


@triton.jit
def inverse_norms(rows_XW, SHORTEST: tl.constexpr):
    """Compute 1 / |row|, of rows at least SHORTEST long."""
    in_float_XW = rows_XW.to(tl.float32)
    return 1.0 / tl.maximum(tl.sqrt(tl.sum(in_float_XW * in_float_XW, axis=1)), SHORTEST)


@triton.jit
def load_columns(
    start, at_X, STRIDE: tl.constexpr, STEP: tl.constexpr, COUNT: tl.constexpr, NEEDED: tl.constexpr
):
    """Load COUNT numbers of each position, STEP apart, (X, C); zeros if they are not needed."""
    BLOCK_C: tl.constexpr = triton.next_power_of_2(COUNT)
    c = tl.arange(0, BLOCK_C)
    where = start + at_X[:, None].to(tl.int64) * STRIDE + c[None, :] * STEP
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
def meet(
    own_XC,
    seen_from_XC,
    ROUND: tl.constexpr,
    ROUNDS: tl.constexpr,
    CHUNKS_BEFORE: tl.constexpr,
    KEYS_ACROSS: tl.constexpr,
):
    """Tell which pairs share a bucket and a window in this round.

    They do if the query's own cell is one of those from which the key is seen.
    """
    SEEN: tl.constexpr = CHUNKS_BEFORE + 1
    own = column(own_XC, ROUND, ROUNDS)
    own = own[:, None] if KEYS_ACROSS else own[None, :]
    seen = column(seen_from_XC, ROUND * SEEN, ROUNDS * SEEN)
    met = own == (seen[None, :] if KEYS_ACROSS else seen[:, None])
    for later in tl.static_range(1, SEEN):
        seen = column(seen_from_XC, ROUND * SEEN + later, ROUNDS * SEEN)
        met |= own == (seen[None, :] if KEYS_ACROSS else seen[:, None])
    return met


@triton.jit
def counted_pairs(
    at_q,
    at_k,
    real,
    own_XC,
    seen_from_XC,
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
    real: of which pairs both exist; own_XC: the queries' own cells; seen_from_XC: the cells from
    which the keys are seen.
    """
    if CAUSAL:
        counted = at_k < at_q
    else:
        counted = at_k != at_q
        if PADDED:
            counted &= at_k < valid_length
    if not ALL_REAL:
        counted &= real
    if WITHIN_BUCKET:
        counted &= meet(own_XC, seen_from_XC, ROUND, ROUNDS, CHUNKS_BEFORE, KEYS_ACROSS)
    if CORRECT:
        for earlier in tl.static_range(ROUND):
            met = meet(own_XC, seen_from_XC, earlier, ROUNDS, CHUNKS_BEFORE, KEYS_ACROSS)
            counted &= met == 0
    return counted
