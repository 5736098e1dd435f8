"""The floor of a call counts the products that the reference needs, at its own process's rate."""

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from synthetic import BASE, IDENTITY, make_record, write_lines
from torch.utils.flop_counter import FlopCounterMode

from baselines import attention
from reformer import lsh_attention
from report.claims.check import judge
from report.claims.claim import HOLDS, INCONCLUSIVE, Claim
from report.page.page import write_report
from report.reading.floor import BACKWARD, FORWARD, floors_of, flop_of, pairs_of, share_text
from report.reading.gathering import gather
from report.statistics.estimates import Estimate
from report.tables.cases_table import suite_table, to_frame
from suites.base import Case
from suites.settings import Settings

CALL = replace(BASE, subject="attention", measures=("time",), processes=3, batch=1)


def counted(run):
    """Return what PyTorch's own counter finds in `run`, in floating-point operations."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def random_calls(n):
    draw = random.Random(5)
    for _ in range(n):
        chunk = draw.choice([8, 16])
        yield Settings(
            subject="attention",
            measures=("time",),
            length=chunk * draw.choice([1, 2, 5]),
            batch=draw.choice([1, 3]),
            n_heads=draw.choice([1, 2]),
            d_model=draw.choice([16, 32]),
            n_rounds=draw.choice([1, 3]),
            bucket_size=8,
            chunk_length=chunk,
            chunks_before=draw.choice([0, 1, 2]),
        )


def inputs_of(s, n):
    shape = s.batch, s.n_heads, s.length, s.d_model // s.n_heads
    return [torch.randn(shape, requires_grad=True) for _ in range(n)]


@pytest.mark.parametrize("s", list(random_calls(8)), ids=range(8))
def test_the_products_of_lsh_are_those_of_the_readable_kernel(s):
    """It keeps all logits, so that its backward pass has four products, not five."""
    qk, v = inputs_of(s, 2)
    buckets = torch.randint(s.lsh().n_buckets(s.length), (*qk.shape[:2], s.n_rounds, s.length))
    out = []
    call = lambda: out.append(lsh_attention(qk, v, s.lsh(), buckets=buckets, kernel="plain"))  # noqa: E731
    settings = s.measured()
    assert counted(call) == flop_of(settings, FORWARD)
    assert counted(lambda: out[0].sum().backward()) == flop_of(settings, BACKWARD - 1)


@pytest.mark.parametrize("length", [1, 7, 24])
def test_the_products_of_dense_attention_are_those_up_to_the_diagonal(length, monkeypatch):
    """Computed query by query nothing else is."""
    monkeypatch.setattr(attention, "SLICE", 1)
    s = replace(CALL, attention="memory_efficient", length=length, d_model=16, n_heads=2, batch=3)
    q, k, v = (x.detach() for x in inputs_of(s, 3))
    found = counted(lambda: attention.memory_efficient(q, k, v, 1.0, False))
    assert found == flop_of(s.measured(), FORWARD)
    for other in ("naive", "sdpa"):
        assert flop_of(replace(s, attention=other).measured()) == flop_of(s.measured())


def test_the_total_is_the_one_told_before():
    """At 16,384 tokens, 4 heads x 64 and 4 rounds: 8.6 GFLOP forward and 21.5 backward."""
    s = replace(CALL, length=16384, d_model=256, bucket_size=64, chunk_length=64)
    assert flop_of(s.measured(), FORWARD) == 2 * 2 * 16384 * 4 * 4 * 64 * 128
    assert flop_of(s.measured()) == 3.5 * flop_of(s.measured(), FORWARD)
    assert pairs_of({"length": 64, "attention": "my.own:attend"}) is None


RATES = (100.0, 140.0, 120.0)


def record_of(settings=CALL, rates=RATES, **changes):
    record = make_record(Case(settings=settings), ["attention_length"], 0, np.random.default_rng(0))
    for process, ms in zip(record["time"]["processes"], (200.0, 100.0, 400.0), strict=True):
        process["samples_ms"]["step"] = [0.9 * ms, ms, 1.1 * ms]
    usual = {"index": 0, "reason": "", "started": "", "wall_s": 1.0, "kernel": "blocked"}
    jobs = [usual | {"kind": "time", "status": "ok", "gflops": rate} for rate in rates]
    other = [
        usual | {"kind": "time", "status": "ok", "gflops": 1.0, "replaced": True},
        usual | {"kind": "time", "status": "crash", "gflops": None},
        usual | {"kind": "memory", "status": "ok", "gflops": 2.0},
    ]
    return record | {"jobs": [other[0], *jobs[:1], other[1], *jobs[1:], other[2]]} | changes


def test_each_process_has_its_own_floor_and_the_range_is_told():
    record, flop = record_of(), flop_of(CALL.measured())
    expected = [flop / rate / 1e6 for rate in RATES]
    floors = floors_of(record)
    assert [floor.ms for floor in floors] == pytest.approx(expected)
    shares = [ms / median for ms, median in zip(expected, (200.0, 100.0, 400.0), strict=True)]
    assert [floor.share for floor in floors] == pytest.approx(shares)
    row = to_frame([record]).iloc[0]
    assert (row["floor_ms_low"], row["floor_ms_high"]) == pytest.approx(
        (min(expected), max(expected))
    )
    assert (row["floor_share_low"], row["floor_share_high"]) == pytest.approx(
        (min(shares), max(shares))
    )
    told = f"{100 * min(shares):.0f} to {100 * max(shares):.0f} %"
    assert suite_table(gather([record]))["share of the floor"].iloc[0] == told
    assert share_text(floors[:1]) == f"{100 * shares[0]:.0f} %"


@pytest.mark.parametrize(
    "record",
    [
        record_of(replace(CALL, precision="bfloat16")),
        record_of(replace(CALL, subject="model")),
        record_of(rates=(100.0, None, 100.0)),
        record_of(rates=(100.0,)),
        record_of(jobs=[]),
        record_of(identity=IDENTITY | {"device": "NVIDIA H100"}),
        record_of()
        | {"settings": CALL.measured() | {"attention": "my.own:attend", "chunk_length": None}},
    ],
    ids="bfloat16 training no-rate too-few no-jobs gpu own".split(),
)
def test_there_is_no_floor_where_none_is_known(record):
    assert floors_of(record) == []
    assert pd.isna(to_frame([record])["floor_share_low"].iloc[0])
    assert "share of the floor" not in suite_table(gather([record]))


def test_the_page_says_what_the_share_is(tmp_path):
    write_lines(tmp_path, [record_of()])
    write_report(tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "Share of the floor: the time" in page
    assert "it may take less than this floor: over 100 %" in page
    assert share_text(floors_of(record_of())) in page
    write_lines(tmp_path, [record_of(jobs=[])])
    write_report(tmp_path)
    assert "Share of the floor" not in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("attention", "rows", "precision", "size"),
    [("lsh", 9, "bfloat16", 2), ("lsh", 9, "float32", 4), ("sdpa", 12, "bfloat16", 2)],
)
def test_on_a_gpu_the_floor_is_that_of_products_or_that_of_memory(attention, rows, precision, size):
    """Each pass reads or writes each of its inputs and outputs once: 9 rows a position, or 12."""
    s = replace(CALL, attention=attention, precision=precision)
    record = record_of(s, identity={**IDENTITY, "device": "NVIDIA H100"})
    assert floors_of(record) == [], "without a rate of copying"
    timed = [job for job in record["jobs"] if job["kind"] == "time"]
    products = [flop_of(s.measured()) / rate / 1e6 for rate in RATES]
    memory = rows * s.length * s.d_model * size / 1e6
    for copy_gbs, expected in ((1e9, products), (1e-3, [memory / 1e-3] * 3)):
        for job in timed:
            job["copy_gbs"] = copy_gbs
        assert [floor.ms for floor in floors_of(record)] == pytest.approx(expected)


def test_a_claim_of_the_share_goes_from_the_lowest_process_to_the_highest():
    told = {
        "name": "share",
        "says": "{value}",
        "suite": "attention_length",
        "of": {"length": CALL.length},
    }
    shares = sorted(100 * floor.share for floor in floors_of(record_of()))
    for bound, verdict in ((shares[0] - 0.01, HOLDS), (shares[0] + 0.01, INCONCLUSIVE)):
        claim = Claim(**told, quantity="share of the floor", at_least=bound)
        [found] = judge([claim], [record_of()])
        assert found.verdict == verdict
        assert found.found == Estimate(shares[1], shares[0], shares[2])
