"""What the paper prints of memory and time is computed at the sizes that were measured."""

import re

import numpy as np
import pytest
from synthetic import make_record

from report import paper
from report.reading.gathering import gather
from report.reading.view import view_of
from report.tables.printed import bound_of, row_in_paper
from report.tables.scaling_table import scaling_table
from suites.base import grid
from suites.presets import CPU, models_of_table_3
from suites.settings import Settings, change

# At short lengths and few rounds the other terms than attention's are the larger ones.
SHORT = change(CPU, length=64, chunk_length=2, bucket_size=2, n_rounds=1)
# By row: powers of memory and of time in the layers, in d_ff where it is the larger term, and in
# the length where attention is.
POWERS = {
    "Transformer": {"n_layers": (1, 1), "d_ff": (1, 1), "length": (2, 2)},
    "Reversible Transformer": {"n_layers": (0, 1), "d_ff": (1, 1), "length": (2, 2)},
    "Chunked reversible Transformer": {"n_layers": (0, 1), "d_ff": (0, 1), "length": (2, 2)},
    "LSH Transformer": {"n_layers": (1, 1), "d_ff": (1, 1), "length": (1, 1)},
    "Reformer": {"n_layers": (0, 1), "d_ff": (0, 1), "length": (1, 1)},
}
SIZES = {
    "n_layers": (CPU, [1, 2, 4], "layers"),
    "d_ff": (SHORT, [2**20, 2**22, 2**24], "feed_forward"),
    "length": (change(CPU, chunk_length=64), [2**16, 2**18, 2**20], "sequence_length"),
}


def case_of(s: Settings):
    (case,) = grid(s, length=[s.length])
    (found,) = gather([make_record(case, ["layers"], 0, np.random.default_rng(0))])
    return found


def test_the_five_models_are_the_rows_of_table_3():
    rows = [row_in_paper(case_of(s)) for s in models_of_table_3(CPU)]
    assert rows == list(POWERS) == list(paper.TABLE_3)


@pytest.mark.parametrize("setting", SIZES)
def test_printed_powers_are_those_of_the_larger_term(setting):
    base, values, suite = SIZES[setting]
    rng = np.random.default_rng(2)
    cases = [case for s in models_of_table_3(base) for case in grid(s, **{setting: values})]
    view = view_of(suite, gather([make_record(case, [suite], 0, rng) for case in cases]))
    table = scaling_table(view).set_index("in the paper")
    assert {*table.index} == {*POWERS}
    for row, powers in POWERS.items():
        printed = [
            float(table.loc[row, f"{name}: the paper's exponent"]) for name in ("memory", "time")
        ]
        assert printed == pytest.approx(powers[setting], abs=0.02), row


@pytest.mark.parametrize("setting", ["n_layers", "d_ff"])
def test_measured_powers_of_layers_and_widths_stand_beside(setting):
    _, values, suite = SIZES[setting]
    rng = np.random.default_rng(2)
    cases = [c for s in models_of_table_3(CPU) for c in grid(s, **{setting: [1024, 2048, 4096]})]
    if setting == "n_layers":
        cases = [c for s in models_of_table_3(CPU) for c in grid(s, n_layers=values)]
    table = scaling_table(
        view_of(suite, gather([make_record(c, [suite], 0, rng) for c in cases]))
    ).set_index("in the paper")
    name = {"n_layers": "layers", "d_ff": "d_ff"}[setting]
    for text in table[f"time ~ {name} to the power"]:
        low, high = map(float, re.search(r"\((.*) to (.*)\)", text).groups())
        assert low - 0.01 <= (1.0 if setting == "n_layers" else 0.0) <= high + 0.01
    assert not [column for column in table if column.startswith("faster")]


def test_bounds_are_the_larger_of_two_terms_by_hand():
    """Of 3 sequences of 1,000 tokens, 4 heads of 16, 2 layers, d_ff 256, 2 rounds, chunks of 8."""
    sizes = {"b": 3, "h": 4, "l": 1000, "n": 2, "r": 2, "d_k": 16, "d": 64, "f": 256, "c": 32**2}
    full, hidden, hashed, stream = 12e6, 768e3, 12e3 * 2 * 1024, 192e3
    expected = {
        "Transformer": (2 * full, 2 * (hidden + full)),
        "Reversible Transformer": (full, 2 * (hidden + full)),
        "Chunked reversible Transformer": (full, 2 * (hidden + full)),
        "LSH Transformer": (2 * hashed, 2 * (hidden + hashed)),
        "Reformer": (hashed, 2 * (hidden + hashed)),
    }
    for row, bounds in paper.TABLE_3.items():
        assert (bounds["memory"](sizes), bounds["time"](sizes)) == expected[row], row
    small = sizes | {"l": 10, "r": 1, "c": 1}
    assert paper.TABLE_3["Reformer"]["memory"](small) == 3 * 10 * 64
    assert paper.TABLE_3["LSH Transformer"]["memory"](small) == 2 * 3 * 10 * 256
    assert paper.TABLE_1["LSH attention"]["time"](sizes) == hashed
    assert paper.TABLE_1["scaled dot product"]["memory"](small) == 3 * 4 * 10 * 16
    assert stream < hidden


def test_the_constant_of_the_paper_follows_from_its_chunks():
    """With l / 32 chunks c is 128^2."""
    s = change(CPU, chunk_length=32, bucket_size=16, attention="lsh", batch=2)
    expected = (2 * 1024 * 512 + 2 * 4 * 4 * 1024 * 128**2) * 2
    assert bound_of(case_of(s), "time") == expected


def test_what_is_in_no_table_has_no_bound():
    local = case_of(change(CPU, attention="local"))
    assert row_in_paper(local) == ""
    assert bound_of(local, "memory") is None


def test_crossovers_come_first_and_what_was_not_measured_has_no_row_or_column():
    rng = np.random.default_rng(3)
    speed = change(CPU, subject="attention", measures=("time",))
    cases = [
        *grid(change(speed, attention="lsh"), length=[1024, 4096], n_rounds=[4]),
        *grid(change(speed, attention="lsh"), length=[1024], n_rounds=[8]),
        *grid(change(speed, attention="sdpa"), length=[1024, 4096]),
        *grid(change(speed, attention="local"), length=[1024]),
    ]
    records = [make_record(case, ["attention_length"], 0, rng) for case in cases]
    table = scaling_table(view_of("attention_length", gather(records)))
    assert list(table["model"]) == ["LSH-4", "dense sdpa"]
    assert list(table)[1:] == [
        "faster than dense sdpa from",
        "time ~ length to the power",
        "time: the paper's exponent",
        "in the paper",
    ]
