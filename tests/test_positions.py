"""Position embeddings start from sinusoids, and axial ones equal a slow twin and learn by rows."""

import math

import pytest
import torch

from reformer import Reformer, ReformerConfig
from reformer.positions import Positions, sinusoids

LENGTH, D_MODEL = 30, 12


def make_positions(axial=None, scale=1.0, length=LENGTH, d_model=D_MODEL):
    config = ReformerConfig(
        vocabulary=2, length=length, d_model=d_model, n_heads=1, axial_positions=axial
    )
    return Positions(config, scale=scale)


@pytest.mark.parametrize(("length", "width"), [(30, 12), (50, 7), (1, 2)])
def test_sinusoids_follow_their_definition(length, width):
    """Vaswani et al. (2017, section 3.5) define them; here length / 2 pi stands for 10000."""
    table = sinusoids(length, width)
    longest = max(1, length / (2 * math.pi))
    for position in range(length):
        for i in range(width):
            angle = position / longest ** ((i - i % 2) / width)
            expected = math.cos(angle) if i % 2 else math.sin(angle)
            assert table[position, i].item() == pytest.approx(expected, abs=1e-6)


def test_absolute_positions_start_from_scaled_sinusoids():
    positions = make_positions(scale=0.3)
    torch.testing.assert_close(positions(LENGTH), 0.3 * sinusoids(LENGTH, D_MODEL))
    assert [p.shape for p in positions.parameters()] == [(LENGTH, D_MODEL)]


@pytest.mark.parametrize("axial", [(5, 6), (6, 5), (1, 30), (30, 1), (7, 8)])
def test_axial_positions_join_a_row_and_a_column(axial):
    positions = make_positions(axial)
    rows, columns = positions.parameters()
    generator = torch.Generator().manual_seed(1)
    for table in (rows, columns):
        table.data = torch.randn(table.shape, generator=generator)
    assert rows.shape == (axial[0], D_MODEL // 4)
    assert columns.shape == (axial[1], D_MODEL - D_MODEL // 4)
    got = positions(LENGTH)
    assert got.shape == (LENGTH, D_MODEL)
    for p in range(LENGTH):
        row, column = divmod(p, axial[1])
        assert torch.equal(got[p], torch.cat([rows[row], columns[column]]))


@pytest.mark.parametrize("axial", [None, (4, 8)])
def test_a_window_is_a_slice_of_the_whole(axial):
    positions = make_positions(axial)
    whole = positions(LENGTH)
    assert len(whole.unique(dim=0)) == LENGTH
    for first, length in ((0, 7), (3, 11), (29, 1), (5, 25)):
        assert torch.equal(positions(length, first), whole[first : first + length])


def test_only_the_rows_in_use_learn():
    absolute = make_positions()
    absolute(5, 3).sum().backward()
    table = absolute.tables[0]
    assert table.grad.any(dim=1).nonzero().flatten().tolist() == [3, 4, 5, 6, 7]
    axial = make_positions((5, 6))
    axial(8).sum().backward()  # all of row 0, two columns of row 1
    rows, columns = axial.tables
    assert rows.grad[:, 0].tolist() == [6, 2, 0, 0, 0]
    assert columns.grad[:, 0].tolist() == [2, 2, 1, 1, 1, 1]


@pytest.mark.parametrize("axial", [None, (25, 40)])
def test_near_positions_look_alike_from_the_start(axial):
    """Shared-QK attention needs this to find its neighbours."""
    table = make_positions(axial, length=1000, d_model=64)(1000)
    unit = table / table.norm(dim=-1, keepdim=True)

    def likeness(distance):
        return (unit[:-distance] * unit[distance:]).sum(dim=-1).mean().item()

    assert likeness(1) > 0.85
    assert likeness(1) > likeness(4) > likeness(13)


@pytest.mark.parametrize("axial", [None, (8, 8)])
def test_a_normal_start_has_no_likeness_and_changes_no_other_weight(axial):
    usual, normal = (
        Reformer(
            ReformerConfig(
                vocabulary=50,
                length=64,
                axial_positions=axial,
                embedding_std=0.02,
                positions_start=start,
            )
        )
        for start in ("sinusoids", "normal")
    )
    for (name, a), b in zip(usual.named_parameters(), normal.parameters(), strict=True):
        assert torch.equal(a, b) == (not name.startswith("positions")), name
    for table in normal.positions.tables:
        assert table.std().item() == pytest.approx(0.02, rel=0.1)
        unit = table / table.norm(dim=-1, keepdim=True)
        likeness = unit @ unit.T - torch.eye(len(unit))
        assert likeness.abs().max() < 5 * table.shape[-1] ** -0.5
