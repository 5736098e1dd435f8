"""What analyses of a trained model say has a format, as part of a record's quality. No torch.

suites.engine.measure makes them: past_only.py, attention_mass.py and head.py there.
"""

from typing import NotRequired, TypedDict


class Change(TypedDict):
    """What changes if a position is predicted from its prefix alone.

    bits_change: of bits per dim, above 0 if it gets worse; bits_error: its standard error, from
    window to window. share_changed: of positions, where a logit changes by more than 1e-3;
    largest_change: of any logit.
    """

    bits_change: float
    bits_error: float
    share_changed: float
    largest_change: float


class PastOnly(Change):
    """The prefix is hashed as the whole window is; own_hash: as a sequence of its own length."""

    n_windows: int
    n_positions: int
    own_hash: NotRequired[Change]


class AttentionMass(TypedDict):
    """For each of `layers` and within 1, 2, ... rounds: what pairs that met hold.

    mass: their share of the true attention; pairs: their share of all pairs with earlier positions.
    """

    n_windows: int
    layers: list[int]
    mass: list[list[float]]
    pairs: list[list[float]]


class Head(TypedDict):
    """One head in a stretch of one held-out window, its first positions.

    weights: of full attention, for positions 1, 2, ... over all earlier ones. buckets: of the
    stretch, hashed alone in one round. plane: unit vectors of the head in two dimensions, of their
    squared length the share `kept`; axes: for each rotation there its two axes, the centres of
    buckets 0 and 1, opposite to those of 2 and 3; plane_buckets: by rotation.
    """

    layer: int
    head: int
    tokens: list[int]
    weights: list[list[float]]
    buckets: list[int]
    chunk_length: int
    chunks_before: int
    plane: list[list[float]]
    kept: float
    axes: list[list[list[float]]]
    plane_buckets: list[list[int]]


# By name (suites.evaluations.ANALYSES); each is there if it was asked for.
Analyses = TypedDict(
    "Analyses", {"past only": PastOnly, "attention mass": AttentionMass, "head": Head}, total=False
)
