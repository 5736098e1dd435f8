"""When a job ends, and when a sweep ends, what matters is said."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from findings import part_of

from suites.engine.store.records import mispredicted
from suites.engine.sweep.cards import time_model
from suites.engine.sweep.ledger import Ledger
from suites.engine.sweep.progress import misprediction, outcome_words
from suites.engine.sweep.summary import (
    N_SHOWN,
    counts,
    print_failures,
    print_mispredictions,
    print_on_device,
    print_results,
)
from suites.settings import Settings, change

BYTES_PER_MIB = 2**20


def memory(predicted_mib: float) -> dict[str, float]:
    return {
        "peak_bytes": 120 * BYTES_PER_MIB,
        "live_peak_bytes": 100 * BYTES_PER_MIB,
        "predicted_bytes": predicted_mib * BYTES_PER_MIB,
    }


@pytest.fixture
def sweep() -> SimpleNamespace:
    parts = {"a": memory(100), "b": memory(140), "c": None, "d": memory(40)}
    records = {
        (case, 0): {"status": "ok", "label": f"case {case}", "reason": "", "memory": part}
        for case, part in parts.items()
    }
    records["c", 0] |= {"status": "oom", "reason": "out of memory"}
    folder = SimpleNamespace(log_path=lambda case: Path("/nowhere"))
    names = {case: f"case {case}" for case in "abcde"}
    line = {"case": "e", "kind": "time", "index": 0, "seed": 0, "reason": "died", "part": None}
    ledger = Ledger([{**line, "status": "crash"}, {**line, "index": 1, "status": "ok"}])
    return SimpleNamespace(records=records, cases=names, names=names, folder=folder, ledger=ledger)


def test_predictions_over_30_percent_off_are_told_when_a_run_ends(
    sweep: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    print_mispredictions(sweep)
    high, low = capsys.readouterr().out.splitlines()
    assert high.startswith("  case b: warning: the predicted peak of 140 MiB differs")
    assert low.startswith("  case d: warning: the predicted peak of 40 MiB differs")


def test_failures_and_counts(sweep: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert counts(sweep) == "3 ok, 1 oom"
    print_failures(sweep)
    assert capsys.readouterr().out.splitlines() == [
        "  oom: case c, seed 0: out of memory",
        "  crash: case e, seed 0: died (while measuring time, seed 0)",
    ]


@pytest.mark.parametrize(
    ("predicted_mib", "expected"), [(100, None), (129, None), (131, 0.31), (71, None), (69, -0.31)]
)
def test_what_counts_as_mispredicted(predicted_mib: float, expected: float | None) -> None:
    part = memory(predicted_mib)
    assert mispredicted(part) == (None if expected is None else pytest.approx(expected))
    line = {"kind": "memory", "status": "ok", "part": part}
    assert bool(misprediction(part)) is (expected is not None)
    assert "120 MiB, live 100 MiB" in outcome_words(line)


def test_nothing_is_mispredicted_where_nothing_was_measured() -> None:
    assert mispredicted(None) is mispredicted({}) is mispredicted({"predicted_bytes": 5}) is None
    assert not misprediction(None)
    assert not misprediction({})


def test_an_unsteady_timing_says_so() -> None:
    part = part_of("time", samples_ms={"step": [1.0, 1.5, 2.5, 3.0]}, steady=False, disturbed=True)
    line = {"kind": "time", "status": "ok", "part": part}
    assert outcome_words(line) == "2 ms a step, disturbed, not steady"


def test_a_run_ends_with_a_small_table(capsys: pytest.CaptureFixture[str]) -> None:
    time = {"processes": [part_of("time", samples_ms={"step": [ms]}) for ms in (7.0, 8.0, 9.5)]}
    both = [("a", seed) for seed in range(2)]
    records = {
        key: {
            "status": "ok",
            "time": time if key[1] == 0 else None,
            "memory": memory(100) if key[1] == 0 else None,
            "quality": {"bits_per_dim": 3.0 + key[1]},
        }
        for key in both
    }
    records |= {(f"old {i}", 0): records["a", 0] for i in range(2)}
    records["failed", 0] = {**records["a", 0], "status": "crash"}
    names = {key[0]: f"case {key[0]}" for key in records}
    backlog = SimpleNamespace(records=records, names=names)
    print_results(backlog, before={("old 0", 0), ("old 1", 0)}, width=80)
    _, _, row = capsys.readouterr().out.splitlines()
    # the geometric mean, as on the page; the median of the medians is 8
    assert row.split() == ["case", "a", "8.103", "ms", "100", "MiB", "3.500"]
    print_results(backlog, before=set(records), width=80)
    assert capsys.readouterr().out == ""
    records |= {(f"{i}", 0): records["a", 0] for i in range(N_SHOWN)}
    names |= {f"{i}": f"case {i}" for i in range(N_SHOWN)}
    print_results(backlog, before=set(), width=80)
    assert capsys.readouterr().out.splitlines()[-1] == "and 3 more"


def test_predictions_for_a_device_say_where_lsh_gets_ahead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = Settings(
        subject="attention", measures=("time",), precision="bfloat16", n_heads=4, d_model=256
    )
    settings = [call, Settings(), change(call, attention="reformer-pytorch")]
    cases = {f"{i}": SimpleNamespace(settings=s, skip="") for i, s in enumerate(settings)}
    names = {"0": "a call", "1": "a model", "2": "a peer"}
    print_on_device(SimpleNamespace(cases=cases, names=names), time_model("h100", 100.0))
    head, one, two, peer, crossover, last = capsys.readouterr().out.splitlines()
    assert head.endswith("what, on one NVIDIA H100")
    assert " ms " in one and " ms " in two and peer.split()[1] == "?"
    assert crossover.startswith("predicted: one sequence of LSH-4, bucket ")
    assert "4 heads, width 256, in bfloat16" in crossover
    assert re.search(r"is ahead of sdpa from [\d,]+ tokens on$", crossover)
    assert last.startswith("these are predictions for one NVIDIA H100")
