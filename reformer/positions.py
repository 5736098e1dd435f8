"""Position embeddings are learned, one vector per position or, axial, one per row and column.

Both start from the sinusoids of Vaswani et al. (2017, section 3.5): near positions look alike from
the first step, which shared-QK attention needs to find its neighbours. Where what counts is far
away, as in the task duplication, they can start from normal numbers instead. Axial positions (the
authors' code, not the paper) lay the sequence out in rows and columns, and give every row and every
column a vector: rows + columns vectors instead of rows * columns. As there, a quarter of the width
tells the row (256 of 1024).

Shapes: L length, D model width.
"""

import math

import torch
from torch import Tensor, nn

from reformer.config import ModelConfig


class Positions(nn.Module):
    """Embed positions 0 to length - 1, for any length up to the config's.

    The initial tables are sinusoids multiplied by `scale`; `initialise` of language_model.py draws
    them anew where they are to be normal.
    """

    def __init__(self, config: ModelConfig, scale: float) -> None:
        super().__init__()
        if config.axial_positions is None:
            tables = [sinusoids(config.length, config.d_model)]
        else:
            rows, columns = config.axial_positions
            row_width = config.d_model // 4
            tables = [sinusoids(rows, row_width), sinusoids(columns, config.d_model - row_width)]
        self.tables = nn.ParameterList(nn.Parameter(as_default(scale * table)) for table in tables)

    def forward(self, length: int, first: int = 0) -> Tensor:
        """Embed `length` positions from `first` on, (length, d_model)."""
        if len(self.tables) == 1:
            return self.tables[0][first : first + length]
        rows, columns = self.tables
        position = torch.arange(first, first + length, device=rows.device)
        return torch.cat([rows[position // len(columns)], columns[position % len(columns)]], dim=-1)


def sinusoids(length: int, width: int) -> Tensor:
    """Compute sines and cosines of wavelengths from 2 pi to `length`, (length, width) float32.

    On the CPU, whatever the default device.
    """
    longest = max(length / (2 * math.pi), 1.0)
    frequency = longest ** (-torch.arange(0, width, 2, dtype=torch.float64, device="cpu") / width)
    angle = torch.arange(length, dtype=torch.float64, device="cpu").unsqueeze(-1) * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)[:, :width].float()


def as_default(table: Tensor) -> Tensor:
    """Copy a table to PyTorch's default device and dtype, in which modules make their weights."""
    made = torch.empty(table.shape)
    return made if made.is_meta else made.copy_(table)
