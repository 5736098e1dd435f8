"""The backward pass of one round where a chunk is a tile: a program goes through a run of chunks.

So each pair is met once, in backward.py twice: step by step a program finds what the keys of a
chunk get from the queries of their own and of the next chunk, and carries what those queries get
from them over to the next step. It begins with the chunk before its run, for the queries alone.
Each row is written by one program here too, and gets the same bits from runs of any length.

Shapes: N keys of a chunk, M queries, W head width padded to a power of two.
"""

import triton
import triton.language as tl

from reformer.kernels.triton.backward import add_to_rows
from reformer.kernels.triton.forward import LOG2_E
from reformer.kernels.triton.pairs import (
    counted_pairs,
    inverse_norms,
    load_columns,
    load_positions,
    load_rows,
)


@triton.jit(do_not_specialize=["chunks", "valid_length"])
def backward_run(
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
    chunks,
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
    """Add what a run of chunks gets in round number ROUND to the gradients of its rows.

    Layouts as in backward_round; each chunk looks back at the one before.
    """
    NEEDED: tl.constexpr = WITHIN_BUCKET or CORRECT  # are cells?
    ALL_REAL: tl.constexpr = CHUNK_LENGTH == BLOCK_M
    tl.static_assert(BLOCK_M == BLOCK_N)  # queries of one step are the keys of the next
    runs = tl.cdiv(n_chunks, chunks)
    sequence = (tl.program_id(0) // runs).to(tl.int64)
    first = tl.program_id(0) % runs * chunks
    b, h = sequence // heads, sequence % heads
    q += b * q_b + h * q_h
    v += b * v_b + h * v_h
    dout += b * dout_b + h * dout_h
    order += (sequence * ROUNDS + ROUND) * length
    cells += sequence * length * ROUNDS
    z_and_delta += sequence * length * 2
    own_rows = (b * length * heads + h) * WIDTH

    from_before_NW = tl.zeros((BLOCK_N, BLOCK_W), tl.float32)
    for step in range(tl.minimum(chunks, n_chunks - first) + 1):
        start = (first + step - 1) * CHUNK_LENGTH
        at_N, real_N = load_positions(order, start, 0, length, CHUNK_LENGTH, CHUNK_LENGTH, BLOCK_N)
        k_NW = load_rows(q, at_N, q_l, WIDTH, BLOCK_W)
        v_NW = load_rows(v, at_N, v_l, WIDTH, BLOCK_W)
        cells_NC = load_columns(cells, at_N, ROUNDS, NEEDED)
        inverse_norm_N = inverse_norms(k_NW, SHORTEST)
        scale_N = inverse_norm_N * logit_scale
        # keys are scaled, not dlogits: float16 does not hold 1 / |k| of every key
        scaled_NW = (k_NW.to(tl.float32) * scale_N[:, None]).to(q.dtype.element_ty)
        dq_NW = from_before_NW
        dk_NW = tl.zeros((BLOCK_N, BLOCK_W), tl.float32)
        dv_NW = tl.zeros((BLOCK_N, BLOCK_W), tl.float32)
        from_before_NW = tl.zeros((BLOCK_N, BLOCK_W), tl.float32)
        for ahead in tl.static_range(2):  # chunks from the keys to the queries
            # only the first step, of the chunk before the run, leaves out its own queries; what is
            # ahead is no branch then, in which products would wait for what comes before it
            if ahead > 0 or step > 0:
                start_q = start + ahead * CHUNK_LENGTH
                at_M, real_M = load_positions(
                    order, start_q, 0, length, CHUNK_LENGTH, CHUNK_LENGTH, BLOCK_M
                )
                q_MW = load_rows(q, at_M, q_l, WIDTH, BLOCK_W)
                dout_MW = load_rows(dout, at_M, dout_l, WIDTH, BLOCK_W)
                z_M, delta_M = tl.split(load_columns(z_and_delta, at_M, 2, True))
                logits_MN = tl.dot(q_MW, tl.trans(k_NW), input_precision=PRECISION)
                counted = counted_pairs(
                    at_M[:, None],
                    at_N[None, :],
                    real_M[:, None] & real_N[None, :],
                    load_columns(cells, at_M, ROUNDS, NEEDED),
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
                exponents_MN = logits_MN * (scale_N * LOG2_E)[None, :] - z_M[:, None]
                p_MN = tl.where(counted, tl.exp2(exponents_MN), 0.0)
                p_NM = tl.trans(p_MN.to(dout_MW.dtype))
                dv_NW = tl.dot(p_NM, dout_MW, acc=dv_NW, input_precision=PRECISION)
                dp_MN = tl.dot(dout_MW, tl.trans(v_NW), input_precision=PRECISION)
                dlogits_MN = (p_MN * (dp_MN - delta_M[:, None])).to(q_MW.dtype)
                dlogits_NM = tl.trans(dlogits_MN)
                dk_NW = tl.dot(dlogits_NM, q_MW, acc=dk_NW, input_precision=PRECISION)
                if ahead == 0:
                    dq_NW = tl.dot(dlogits_MN, scaled_NW, acc=dq_NW, input_precision=PRECISION)
                else:
                    from_before_NW = tl.dot(dlogits_MN, scaled_NW, input_precision=PRECISION)
        if step > 0:
            z_N = tl.load(z_and_delta + at_N * 2)
            # read again: held through the products they would be spilled
            k_NW = load_rows(q, at_N, q_l, WIDTH, BLOCK_W)
            add_to_rows(
                dq,
                dv,
                dq_total,
                dv_total,
                dout,
                own_rows,
                at_N,
                real_N,
                dq_NW,
                dk_NW,
                dv_NW,
                k_NW,
                inverse_norm_N,
                logit_scale,
                z_N,
                dout_l,
                heads,
                ROUND,
                ROUNDS,
                WIDTH,
                BLOCK_W,
            )
