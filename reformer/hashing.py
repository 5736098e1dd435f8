"""Angular locality-sensitive hashing turns vectors into bucket numbers (paper, section 2).

A round rotates them at random and takes the nearest of the axes, in both directions.

Shapes: B batch, H heads, L length, W head width, R rounds, N buckets of one rotation.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from reformer.autocast import without_autocast
from reformer.checks import plain, require, require_integer
from reformer.config import FACTORIZE_FROM, bucket_factors
from reformer.eager import eagerly
from reformer.inputs import require_generator, require_vectors
from reformer.precision import sum_dtype

# Numbers rotated at a time: 4096 rows of 128 floats stay in the second-level cache. On a GPU as
# many as outlast the launches: by 4096 rows those took 4 to 20 ms a call (H100, 32K to 64K tokens).
ROTATED = 4096 * 128
ROTATED_GPU = 2**18 * 128


def exact_factors(n_buckets: int) -> tuple[int, ...]:
    """Split `n_buckets` into the buckets of each rotation, whose product it is exactly.

    Two rotations from FACTORIZE_FROM buckets on, where even factors a <= b <= 4 a exist, else one.
    Raises ValueError if n_buckets is neither 1 nor even.
    """
    _require_angular("n_buckets", n_buckets)
    if n_buckets < FACTORIZE_FROM:
        return (n_buckets,)
    factors = bucket_factors(n_buckets)
    return factors if factors[0] * factors[1] == n_buckets else (n_buckets,)


def draw_rotations(
    width: int,
    factors: Sequence[int],
    n_rounds: int,
    generator: torch.Generator | None = None,
    rotation: str = "orthonormal",
) -> list[Tensor]:
    """Draw one matrix (W, R, N/2) per factor, float64 on the CPU, whatever the device.

    rotation: "orthonormal" or "normal" (LSHConfig). Orthonormal columns of one round are random
    directions, orthogonal up to `width` of them: a random rotation, as in Andoni et al. (2015),
    whom the paper follows. Normal ones, as in the authors' code, differ in length and are not
    orthogonal, and so are not equally often the nearest: vectors without any structure then fill
    buckets unevenly, the more so the more buckets there are (at 65,536 of width 64 a vector's
    bucket has 1.6 times the mean size, with orthonormal ones 1.02).
    """
    require_generator(generator)
    halves = [n // 2 for n in factors if n > 1]
    if not halves:
        return []
    n_blocks, per_block = blocks_of(halves, width)
    normal = torch.randn(
        *(n_rounds, n_blocks, width, per_block),
        generator=generator,
        dtype=torch.float64,
        device="cpu",
    )
    if rotation == "orthonormal":
        # torch.linalg.qr without R, which takes as long
        normal = torch.linalg.householder_product(*torch.geqrf(normal))
    columns_WRN = normal.permute(2, 0, 1, 3).flatten(2)
    return list(columns_WRN[..., : sum(halves)].split(halves, dim=-1))


def blocks_of(halves: Sequence[int], width: int) -> tuple[int, int]:
    """Cut the columns of all rotations into blocks of at most `width`: how many, of how many."""
    n_blocks = -(-sum(halves) // width)
    return n_blocks, -(-sum(halves) // n_blocks)


def rotate_to_buckets(vectors_BHLW: Tensor, rotations: Sequence[Tensor], n_rounds: int) -> Tensor:
    """Hash vectors with given rotations: argmax([xR ; -xR]) (paper, section 2), (B, H, R, L) int32.

    The results of several rotations are the digits of one number. Projections are float32 at least,
    under autocast too: rounded to 16 bits many agree, and the first of them would win. Carries no
    gradient.
    """
    B, H, L, W = vectors_BHLW.shape
    dtype = sum_dtype(vectors_BHLW)
    rows_XW = vectors_BHLW.detach().reshape(-1, W)
    buckets_XR = rows_XW.new_zeros((len(rows_XW), n_rounds), dtype=torch.int32)
    most = ROTATED if rows_XW.device.type == "cpu" else ROTATED_GPU
    for rotation_WRN in rotations:
        half = rotation_WRN.shape[-1]
        matrix = rotation_WRN.reshape(W, -1).to(rows_XW.device, dtype)
        n_rows = max(1, most // max(1, matrix.shape[1]))
        for start in range(0, len(rows_XW), n_rows):
            with without_autocast(rows_XW):
                rotated = rows_XW[start : start + n_rows].to(dtype) @ matrix
            rotated = rotated.unflatten(1, (n_rounds, half))
            highest, at_highest = rotated.max(dim=-1)
            lowest, at_lowest = rotated.min(dim=-1)
            digit = torch.where(highest >= -lowest, at_highest, at_lowest + half)
            block = buckets_XR[start : start + n_rows]
            block.mul_(2 * half).add_(digit)
    return buckets_XR.view(B, H, L, n_rounds).transpose(-1, -2).contiguous()


@eagerly
def hash_buckets(
    vectors: Tensor,
    *,
    n_buckets: int,
    n_rounds: int,
    generator: torch.Generator | None = None,
    factors: Sequence[int] | None = None,
) -> Tensor:
    """Hash `vectors` in `n_rounds` independent rounds (paper, section 2).

    vectors: (batch, heads, length, width). Returns (batch, heads, n_rounds, length) int32 in [0,
    n_buckets). generator: a CPU generator; None means torch's global one. factors: buckets per
    rotation, their product n_buckets; by default one rotation below 128 buckets and two small ones
    from there. Carries no gradient. Raises ValueError if n_buckets is neither 1 nor even or more
    than an int32 counts, and on what cannot be hashed.
    """
    require_vectors("vectors", vectors)
    n_buckets, n_rounds = plain(n_buckets), plain(n_rounds)
    require_integer("n_rounds", n_rounds, 1)
    factors = exact_factors(n_buckets) if factors is None else plain(list(factors))
    for factor in (n_buckets, *factors):
        _require_angular("n_buckets" if factor is n_buckets else "one of factors", factor)
    require(
        math.prod(factors) == n_buckets,
        f"factors {tuple(factors)} make {math.prod(factors)} buckets, but n_buckets is {n_buckets}",
    )
    rotations = draw_rotations(vectors.shape[-1], factors, n_rounds, generator)
    return rotate_to_buckets(vectors, rotations, n_rounds)


def _require_angular(name: str, n_buckets: int) -> None:
    require_integer(name, n_buckets, 1)
    require(
        n_buckets == 1 or (n_buckets % 2 == 0 and n_buckets < 2**31),
        f"{name} is {n_buckets}; angular hashing makes 1 or an even number of buckets, below 2^31",
    )
