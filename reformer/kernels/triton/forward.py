"""The forward pass of one round: each program attends from a tile of the queries of a chunk.

Rounds are merged as they come, one launch each, so that a position is written by one program at a
time. Logits are in base 2: z is the log-normaliser of blocked.py over log(2).

Shapes: M queries of a tile, N keys of a tile, W head width padded to a power of two.
"""

import triton
import triton.language as tl

from reformer.kernels.triton.pairs import (
    counted_pairs,
    inverse_norms,
    load_columns,
    load_positions,
    load_rows,
    place_rows,
)

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit(do_not_specialize=["valid_length"])
def forward_round(
    q,
    v,
    out,
    total,
    z,
    order,
    cells,
    q_b,
    q_h,
    q_l,
    v_b,
    v_h,
    v_l,
    heads,
    length,
    n_chunks,
    logit_scale,
    valid_length,
    ROUND: tl.constexpr,
    ROUNDS: tl.constexpr,
    WIDTH: tl.constexpr,
    CHUNK_LENGTH: tl.constexpr,
    CHUNKS_BEFORE: tl.constexpr,
    CAUSAL: tl.constexpr,
    PADDED: tl.constexpr,
    WITHIN_BUCKET: tl.constexpr,
    CORRECT: tl.constexpr,
    SHORTEST: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_W: tl.constexpr,
):
    """Merge round number ROUND into z and the output of one tile of queries.

    q, v: rows by the strides of batch, head and position. out, total: (B, L, H, W), total in
    float32; z: (B, H, L); order: (B, H, R, L); cells: (B, H, L, R).
    """
    TILES: tl.constexpr = (CHUNK_LENGTH + BLOCK_M - 1) // BLOCK_M
    WINDOW: tl.constexpr = (CHUNKS_BEFORE + 1) * CHUNK_LENGTH
    NEEDED: tl.constexpr = WITHIN_BUCKET or CORRECT  # are cells?
    ALL_REAL: tl.constexpr = CHUNK_LENGTH % BLOCK_M == 0 and WINDOW % BLOCK_N == 0
    program = tl.program_id(0)
    tile, chunk = program % TILES, (program // TILES) % n_chunks
    sequence = (program // TILES // n_chunks).to(tl.int64)
    b, h = sequence // heads, sequence % heads
    q += b * q_b + h * q_h
    v += b * v_b + h * v_h
    order += (sequence * ROUNDS + ROUND) * length
    cells += sequence * length * ROUNDS
    own_rows = (b * length * heads + h) * WIDTH
    own_stride = heads * WIDTH

    at_M, real_M = load_positions(
        order, chunk * CHUNK_LENGTH, tile * BLOCK_M, length, CHUNK_LENGTH, CHUNK_LENGTH, BLOCK_M
    )
    q_MW = load_rows(q, at_M, q_l, WIDTH, BLOCK_W)
    cells_MC = load_columns(cells, at_M, ROUNDS, NEEDED)
    highest_M = tl.full((BLOCK_M,), float("-inf"), tl.float32)
    sum_M = tl.zeros((BLOCK_M,), tl.float32)
    sum_MW = tl.zeros((BLOCK_M, BLOCK_W), tl.float32)
    for start in range(0, WINDOW, BLOCK_N):
        at_N, real_N = load_positions(
            order,
            (chunk - CHUNKS_BEFORE) * CHUNK_LENGTH,
            start,
            length,
            CHUNK_LENGTH,
            WINDOW,
            BLOCK_N,
        )
        k_NW = load_rows(q, at_N, q_l, WIDTH, BLOCK_W)
        v_NW = load_rows(v, at_N, v_l, WIDTH, BLOCK_W)
        scale_N = inverse_norms(k_NW, SHORTEST) * (logit_scale * LOG2_E)
        cells_NC = load_columns(cells, at_N, ROUNDS, NEEDED)
        counted = counted_pairs(
            at_M[:, None],
            at_N[None, :],
            real_M[:, None] & real_N[None, :],
            cells_MC,
            cells_NC,
            n_chunks,
            valid_length,
            ROUND,
            ROUNDS,
            CHUNKS_BEFORE,
            CAUSAL,
            PADDED,
            WITHIN_BUCKET,
            CORRECT,
            ALL_REAL,
            True,
        )
        logits_MN = tl.dot(q_MW, tl.trans(k_NW), input_precision=PRECISION) * scale_N[None, :]
        logits_MN = tl.where(counted, logits_MN, float("-inf"))
        higher_M = tl.maximum(highest_M, tl.max(logits_MN, axis=1))
        reference_M = tl.where(higher_M == float("-inf"), 0.0, higher_M)
        weights_MN = tl.exp2(logits_MN - reference_M[:, None])
        before_M = tl.exp2(highest_M - reference_M)
        sum_M = sum_M * before_M + tl.sum(weights_MN, axis=1)
        sum_MW = tl.dot(
            weights_MN.to(v_NW.dtype),
            v_NW,
            acc=sum_MW * before_M[:, None],
            input_precision=PRECISION,
        )
        highest_M = higher_M

    reference_M = tl.where(highest_M == float("-inf"), 0.0, highest_M)
    z_M = reference_M + tl.log2(sum_M)
    where_MW, real_MW = place_rows(own_rows, at_M, own_stride, real_M, WIDTH, BLOCK_W)
    if ROUND == 0:
        above_M = tl.where(z_M == float("-inf"), 0.0, z_M)
        sum_MW *= tl.exp2(highest_M - above_M)[:, None]
    else:
        before_M = tl.load(z + sequence * length + at_M)
        above_M = tl.maximum(before_M, z_M)
        above_M = tl.where(above_M == float("-inf"), 0.0, above_M)
        z_M = above_M + tl.log2(tl.exp2(before_M - above_M) + tl.exp2(z_M - above_M))
        above_M = tl.where(z_M == float("-inf"), 0.0, z_M)
        total_MW = tl.load(total + where_MW, mask=real_MW, other=0.0)
        sum_MW = (
            sum_MW * tl.exp2(highest_M - above_M)[:, None]  # 0 of a query without any key
            + total_MW * tl.exp2(before_M - above_M)[:, None]
        )
        tl.debug_barrier()  # several threads have read each z
    tl.store(z + sequence * length + at_M, z_M, mask=real_M)
    if ROUND == ROUNDS - 1:
        # a position that attends to nobody takes its own value
        alone_M = z_M == float("-inf")
        w = tl.arange(0, BLOCK_W)
        own_MW = tl.load(
            v + at_M[:, None].to(tl.int64) * v_l + w[None, :],
            mask=real_MW & alone_M[:, None],
            other=0.0,
        )
        sum_MW = tl.where(alone_M[:, None], own_MW.to(tl.float32), sum_MW)
        tl.store(out + where_MW, sum_MW.to(out.dtype.element_ty), mask=real_MW)
    else:
        tl.store(total + where_MW, sum_MW, mask=real_MW)
