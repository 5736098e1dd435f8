"""Positions are sorted by (bucket, position) and the order is cut into chunks (section 2, eq. 5).

A chunk attends to its own keys and to those of the chunks before it: its window. Which pairs meet
is told by one number per position and round, its cell = bucket * 2 C + chunk, C chunks a round: two
positions share a bucket and a window exactly when the difference of their cells, query minus key,
is in [0, chunks_before], or, looking back around the edge of the round, in (-C, chunks_before - C].

Shapes: B batch, H heads, L length, R rounds, N buckets, C chunks, M chunk length, K keys a chunk
sees.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from reformer.config import LSHConfig


@dataclass(frozen=True, slots=True)
class SortedRounds:
    """Hold the order of all positions in every round, and how it is cut into chunks.

    Attention needs nothing else of the hash.
    """

    order_BHRL: Tensor  # int32; order[..., s] is the position of the s-th by (bucket, position)
    ends_BHRN: Tensor  # int32; where each bucket ends in that order
    chunk_length: int
    chunks_before: int
    within_bucket: bool
    valid_length: int  # positions from here on are padding; no other position attends to them

    @property
    def n_chunks(self) -> int:
        """Count the chunks in each round."""
        return self.order_BHRL.shape[-1] // self.chunk_length

    def cells_BHRL(self) -> Tensor:
        """Compute the cell of every position (not of every place in the order).

        It is int32 where that holds it.
        """
        length, n_chunks = self.order_BHRL.shape[-1], self.n_chunks
        n_buckets = self.ends_BHRN.shape[-1]
        fits = 2 * n_buckets * n_chunks < 2**31
        place = torch.arange(length, dtype=torch.int32, device=self.order_BHRL.device)
        sorted_cell = (place // self.chunk_length).expand(self.order_BHRL.shape)
        if self.within_bucket:
            place = place.expand(self.order_BHRL.shape).contiguous()
            bucket = torch.searchsorted(self.ends_BHRN, place, right=True, out_int32=fits)
            sorted_cell = sorted_cell + bucket * (2 * n_chunks)
        return torch.empty_like(sorted_cell).scatter_(-1, self.order_BHRL.long(), sorted_cell)


def sort_rounds(
    buckets_BHRL: Tensor,
    n_buckets: int,
    config: LSHConfig,
    valid_length: int | None = None,
    sort: Callable[[Tensor, int, int], tuple[Tensor, Tensor]] | None = None,
) -> SortedRounds:
    """Sort buckets (B, H, R, L) by (bucket, position), and cut the order into chunks.

    Positions from `valid_length` on are padding; None means that there is none. sort:
    `sort_buckets` or a twin of it.
    """
    valid_length = buckets_BHRL.shape[-1] if valid_length is None else valid_length
    order_BHRL, ends_BHRN = (sort or sort_buckets)(buckets_BHRL, n_buckets, valid_length)
    return cut_rounds(order_BHRL, ends_BHRN, config, valid_length)


def cut_rounds(
    order_BHRL: Tensor, ends_BHRN: Tensor, config: LSHConfig, valid_length: int
) -> SortedRounds:
    """Cut sorted rounds into chunks; where a window would reach around a round it is one chunk."""
    length = order_BHRL.shape[-1]
    whole_round = length // config.m <= config.chunks_before + 1
    return SortedRounds(
        order_BHRL=order_BHRL,
        ends_BHRN=ends_BHRN,
        chunk_length=length if whole_round else config.m,
        chunks_before=0 if whole_round else config.chunks_before,
        within_bucket=config.within_bucket,
        valid_length=valid_length,
    )


def sort_buckets(
    buckets_BHRL: Tensor, n_buckets: int, valid_length: int, dtype: torch.dtype = torch.int32
) -> tuple[Tensor, Tensor]:
    """Return the order by (bucket, position) and where every bucket ends in it, both int32.

    Positions from `valid_length` on come last, in a bucket of their own, number n_buckets. dtype:
    what is sorted; it must hold n_buckets.
    """
    length = buckets_BHRL.shape[-1]
    if valid_length < length:
        padding = torch.arange(length, device=buckets_BHRL.device) >= valid_length
        buckets_BHRL, n_buckets = buckets_BHRL.masked_fill(padding, n_buckets), n_buckets + 1
    sorted_buckets, order = torch.sort(buckets_BHRL.to(dtype), dim=-1, stable=True)
    numbers = torch.arange(n_buckets, dtype=dtype, device=order.device)
    numbers = numbers.expand(*order.shape[:-1], n_buckets).contiguous()
    ends = torch.searchsorted(sorted_buckets, numbers, right=True, out_int32=True)
    return order.int(), ends


def keep_order(buckets_BHRL: Tensor, n_buckets: int, valid_length: int) -> tuple[Tensor, Tensor]:
    """Return what `sort_buckets` returns where there is one bucket: the order of the positions."""
    assert n_buckets == 1, "there is an order to keep in one bucket only"
    *lists, length = buckets_BHRL.shape
    order = torch.arange(length, dtype=torch.int32, device=buckets_BHRL.device)
    # filled on the device: a copy to it would wait for all work before
    ends = order.new_full((*lists, 2 if valid_length < length else 1), length)
    ends[..., 0] = valid_length
    return order.expand(*lists, length).contiguous(), ends


def look_back(chunked: Tensor, chunks_before: int, dim: int) -> Tensor:
    """Join every chunk with the chunks before it: (..., C, M) to (..., C, K).

    The first chunks of a round look around its edge, to its last ones.
    """
    earlier = [chunked.roll(back, dims=dim) for back in range(chunks_before, 0, -1)]
    return torch.cat([*earlier, chunked], dim=dim + 1)


def met(cells_q: Tensor, cells_k: Tensor, n_chunks: int, chunks_before: int) -> Tensor:
    """Tell whether query and key share a bucket and a window, by their cells in one round."""
    back = cells_q - cells_k
    inside = (back >= 0) & (back <= chunks_before)
    if chunks_before == 0:
        return inside
    return inside | ((back > -n_chunks) & (back <= chunks_before - n_chunks))
