"""The backward pass of one round: each program has a tile of a chunk as its queries and its keys.

Query and key of a position are one vector, so one program finds the gradient of both: as queries
its rows look back over their window, as keys they are looked at from their own chunk and those
after it. One launch a round, each row written by one program: no atomics, and the same bits each
time. As in blocked.py, dlogit = p (dout . v - dout . out). Where a chunk is one tile,
backward_run.py does it in less.

Shapes: M rows of the program's tile, N rows of the tile that it meets, W head width padded to a
power of two.
"""

import triton
import triton.language as tl

from reformer.kernels.triton.forward import LOG2_E
from reformer.kernels.triton.pairs import (
    counted_pairs,
    inverse_norms,
    load_columns,
    load_positions,
    load_rows,
    place_rows,
)


@triton.jit(do_not_specialize=["valid_length"])
def backward_round(
    q,
    v,
    dout,
    dq,
    dv,
    dq_total,
    dv_total,
    z_and_delta,
    order,
    cells,
    q_b,
    q_h,
    q_l,
    v_b,
    v_h,
    v_l,
    dout_b,
    dout_h,
    dout_l,
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
    """Add what one tile gets in round number ROUND to the gradients of its rows.

    Layouts as in forward_round; dq, dv and their float32 totals: (B, L, H, W);
    z_and_delta: (B, H, L, 2).
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
    dout += b * dout_b + h * dout_h
    order += (sequence * ROUNDS + ROUND) * length
    cells += sequence * length * ROUNDS
    z_and_delta += sequence * length * 2
    own_rows = (b * length * heads + h) * WIDTH

    at_M, real_M = load_positions(
        order, chunk * CHUNK_LENGTH, tile * BLOCK_M, length, CHUNK_LENGTH, CHUNK_LENGTH, BLOCK_M
    )
    qk_MW = load_rows(q, at_M, q_l, WIDTH, BLOCK_W)
    v_MW = load_rows(v, at_M, v_l, WIDTH, BLOCK_W)
    dout_MW = load_rows(dout, at_M, dout_l, WIDTH, BLOCK_W)
    z_M, delta_M = tl.split(load_columns(z_and_delta, at_M, 2, True))
    inverse_norm_M = inverse_norms(qk_MW, SHORTEST)
    cells_MC = load_columns(cells, at_M, ROUNDS, NEEDED)

    # the rows as queries
    dq_MW = tl.zeros((BLOCK_M, BLOCK_W), tl.float32)
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
        scale_N = inverse_norms(k_NW, SHORTEST) * logit_scale
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
        logits_MN = tl.dot(qk_MW, tl.trans(k_NW), input_precision=PRECISION)
        exponents_MN = logits_MN * (scale_N * LOG2_E)[None, :] - z_M[:, None]
        p_MN = tl.where(counted, tl.exp2(exponents_MN), 0.0)
        dp_MN = tl.dot(dout_MW, tl.trans(v_NW), input_precision=PRECISION)
        dlogits_MN = p_MN * (dp_MN - delta_M[:, None])
        # keys are scaled, not dlogits: float16 does not hold 1 / |k| of every key
        k_NW = (k_NW.to(tl.float32) * scale_N[:, None]).to(q.dtype.element_ty)
        dq_MW = tl.dot(dlogits_MN.to(k_NW.dtype), k_NW, acc=dq_MW, input_precision=PRECISION)

    # the same rows as keys
    dk_MW = tl.zeros((BLOCK_M, BLOCK_W), tl.float32)
    dv_MW = tl.zeros((BLOCK_M, BLOCK_W), tl.float32)
    scale_M = inverse_norm_M * (logit_scale * LOG2_E)
    for start in range(0, WINDOW, BLOCK_N):
        at_N, real_N = load_positions(
            order, chunk * CHUNK_LENGTH, start, length, CHUNK_LENGTH, WINDOW, BLOCK_N
        )
        q_NW = load_rows(q, at_N, q_l, WIDTH, BLOCK_W)
        dout_NW = load_rows(dout, at_N, dout_l, WIDTH, BLOCK_W)
        z_N, delta_N = tl.split(load_columns(z_and_delta, at_N, 2, True))
        cells_NC = load_columns(cells, at_N, ROUNDS, NEEDED)
        counted = counted_pairs(
            at_N[None, :],
            at_M[:, None],
            real_M[:, None] & real_N[None, :],
            cells_NC,
            cells_MC,
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
            False,
        )
        logits_MN = tl.dot(qk_MW, tl.trans(q_NW), input_precision=PRECISION)
        exponents_MN = logits_MN * scale_M[:, None] - z_N[None, :]
        p_MN = tl.where(counted, tl.exp2(exponents_MN), 0.0)
        dv_MW = tl.dot(p_MN.to(dout_NW.dtype), dout_NW, acc=dv_MW, input_precision=PRECISION)
        dp_MN = tl.dot(v_MW, tl.trans(dout_NW), input_precision=PRECISION)
        dlogits_MN = p_MN * (dp_MN - delta_N[None, :])
        dk_MW = tl.dot(dlogits_MN.to(q_NW.dtype), q_NW, acc=dk_MW, input_precision=PRECISION)

    add_to_rows(
        dq,
        dv,
        dq_total,
        dv_total,
        dout,
        own_rows,
        at_M,
        real_M,
        dq_MW,
        dk_MW,
        dv_MW,
        qk_MW,
        inverse_norm_M,
        logit_scale,
        z_M,
        dout_l,
        heads,
        ROUND,
        ROUNDS,
        WIDTH,
        BLOCK_W,
    )


@triton.jit
def add_to_rows(
    dq,
    dv,
    dq_total,
    dv_total,
    dout,
    own_rows,
    at_M,
    real_M,
    dq_MW,
    dk_MW,
    dv_MW,
    qk_MW,
    inverse_norm_M,
    logit_scale,
    z_M,
    dout_l,
    heads,
    ROUND: tl.constexpr,
    ROUNDS: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_W: tl.constexpr,
):
    """Add what these rows get in a round, as queries and as keys, to the gradients of them.

    own_rows: where those of the sequence begin in dq and dv. A position that attends to nobody took
    its own value.
    """
    # a key is scaled to unit length: what lengthens it changes nothing
    unit_MW = qk_MW.to(tl.float32) * inverse_norm_M[:, None]
    dk_MW -= unit_MW * tl.sum(unit_MW * dk_MW, axis=1)[:, None]
    dq_MW += dk_MW * (inverse_norm_M * logit_scale)[:, None]
    where_MW, real_MW = place_rows(own_rows, at_M, heads * WIDTH, real_M, WIDTH, BLOCK_W)
    if ROUND == 0:
        alone_M = real_M & (z_M == float("-inf"))
        where_out_MW, alone_MW = place_rows(dout, at_M, dout_l, alone_M, WIDTH, BLOCK_W)
        dv_MW += tl.load(where_out_MW, mask=alone_MW, other=0.0).to(tl.float32)
    else:
        dq_MW += tl.load(dq_total + where_MW, mask=real_MW, other=0.0)
        dv_MW += tl.load(dv_total + where_MW, mask=real_MW, other=0.0)
    if ROUND == ROUNDS - 1:
        tl.store(dq + where_MW, dq_MW.to(dq.dtype.element_ty), mask=real_MW)
        tl.store(dv + where_MW, dv_MW.to(dv.dtype.element_ty), mask=real_MW)
    else:
        tl.store(dq_total + where_MW, dq_MW, mask=real_MW)
        tl.store(dv_total + where_MW, dv_MW, mask=real_MW)


@triton.jit
def write_deltas(
    dout,
    out,
    z,
    z_and_delta,
    dout_b,
    dout_h,
    dout_l,
    heads,
    length,
    WIDTH: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_W: tl.constexpr,
):
    """Write z and delta = dout . out of every row, (B, H, L, 2); out: (B, L, H, W)."""
    tiles = tl.cdiv(length, BLOCK_M)
    sequence = (tl.program_id(0) // tiles).to(tl.int64)
    at_M = tl.program_id(0) % tiles * BLOCK_M + tl.arange(0, BLOCK_M)
    real_M = at_M < length
    at_M = tl.where(real_M, at_M, 0)
    b, h = sequence // heads, sequence % heads
    dout_MW = load_rows(dout + b * dout_b + h * dout_h, at_M, dout_l, WIDTH, BLOCK_W)
    out_MW = load_rows(out + (b * length * heads + h) * WIDTH, at_M, heads * WIDTH, WIDTH, BLOCK_W)
    delta_M = tl.sum(dout_MW.to(tl.float32) * out_MW.to(tl.float32), axis=1)
    where_M = z_and_delta + (sequence * length + at_M) * 2
    tl.store(where_M, tl.load(z + sequence * length + at_M), mask=real_M)
    tl.store(where_M + 1, delta_M, mask=real_M)
