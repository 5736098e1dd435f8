"""Times predicted for a GPU follow from its rates; those for this CPU agree with records."""

from dataclasses import replace
from math import inf
from statistics import median

import pytest
from reference_results import reference_results

from baselines.config import PEERS
from report.reading.cases import samples_of
from suites.engine.sweep.cards import (
    CARDS,
    REACHED_FUSED,
    predict_on,
    predicted_crossover,
    time_model,
)
from suites.engine.sweep.prediction import weights_of
from suites.settings import Settings, change

H100 = CARDS["h100"]
CALL = Settings(
    subject="attention",
    measures=("time", "memory"),
    length=32768,
    d_model=256,
    n_heads=4,
    bucket_size=64,
    chunk_length=64,
    precision="bfloat16",
)


def test_a_long_call_takes_what_products_bytes_or_pairs_take() -> None:
    """Full attention is bound by products; LSH attention by its pairs, else by what it reads."""
    dense = change(CALL, attention="sdpa", length=65536)
    flop = 2 * 7 * 256 * 65536 * 65537 / 2
    assert predict_on(H100, dense).seconds == pytest.approx(flop / (REACHED_FUSED * 798e12))
    lsh = predict_on(H100, CALL).device_s
    one_round = change(CALL, n_rounds=1)
    pairs = 3 * 4 * 32768 * 128
    assert predict_on(H100, one_round).device_s == pytest.approx(
        pairs * H100.pair_s["bfloat16"], rel=0.2
    )
    assert predict_on(replace(H100, tflops={"bfloat16": 1596}), CALL).device_s == lsh
    read, twice = (
        predict_on(replace(H100, pair_s={"bfloat16": 0.0}, copy_gbs=gbs), CALL).device_s
        for gbs in (3000, 6000)
    )
    assert read == pytest.approx(2 * twice)
    assert lsh > read


def test_short_calls_are_bound_by_the_host() -> None:
    short = change(CALL, length=1024)
    found = predict_on(H100, short)
    assert found.bound == "host"
    assert found.seconds == predict_on(H100, change(short, length=2048)).seconds
    assert predict_on(replace(H100, issue_s=0.0), short).bound == "device"


@pytest.mark.parametrize("card", CARDS)
def test_more_work_never_takes_less_time(card: str) -> None:
    steps = Settings(length=16384, precision="bfloat16")
    for base in (CALL, change(CALL, attention="sdpa"), steps, change(steps, attention="sdpa")):
        for more in ({"length": 131072}, {"batch": 8}, {"precision": "float32"}):
            assert (
                predict_on(CARDS[card], change(base, **more)).device_s
                > predict_on(CARDS[card], base).device_s
            )
    assert predict_on(CARDS[card], change(CALL, n_rounds=8)) > predict_on(CARDS[card], CALL)
    assert (
        predict_on(CARDS[card], change(CALL, attention="local")).device_s
        < predict_on(CARDS[card], change(CALL, n_rounds=1)).device_s
    )


def test_a_step_is_its_products_after_what_it_moves() -> None:
    """By hand, for a dense model on short sequences, where attention takes next to nothing."""
    s = Settings(attention="sdpa", shared_qk=True, batch=64, length=128, d_model=1024, d_ff=4096)
    positions = 64 * 128
    wide = replace(H100, copy_gbs=1e9, issue_s=0.0)
    for reversible, passes in ((False, 3), (True, 4)):
        at = change(s, reversible=reversible, precision="bfloat16")
        in_layers = 2 * passes * (3 * 1024**2 + 2 * 1024 * 4096)
        products = 2 * positions * (in_layers + 3 * 1024 * 256) / (0.7 * 798e12)
        assert predict_on(wide, at).seconds == pytest.approx(products, rel=0.05)
        moved = predict_on(H100, at).device_s - predict_on(wide, at).device_s
        n_bytes = 4 * passes * 2 * 24 * positions * 1024 + 32 * weights_of(at)[0]
        assert moved == pytest.approx(n_bytes / (0.7 * 3e12), rel=0.2)


def test_all_positions_are_computed_on_a_gpu() -> None:
    """On the CPU the output layer leaves out what the task does not count."""
    text = Settings(length=1024, d_model=64)
    assert (
        predict_on(H100, change(text, task="duplication", attention="sdpa")).device_s
        > 0.5 * predict_on(H100, change(text, attention="sdpa")).device_s
    )


def test_slices_compute_half_of_all_logits() -> None:
    naive = change(CALL, attention="naive", precision="float32")
    of_all = predict_on(H100, naive).device_s
    in_slices = predict_on(H100, change(naive, attention="memory_efficient")).device_s
    assert in_slices == pytest.approx(of_all * 4 / 3 / 2, rel=0.01)


def test_nothing_is_predicted_of_what_is_not_known() -> None:
    assert predict_on(H100, change(CALL, kernel="flex")) is None
    flex, sdpa = change(CALL, kernel="flex"), change(CALL, attention="sdpa")
    assert predicted_crossover(time_model("h100", 100.0), flex, sdpa) is None
    assert predict_on(H100, change(CALL, attention="sdpa", kernel="flex")) is not None
    assert predict_on(H100, change(CALL, attention="reformer-pytorch")) is None
    assert time_model("h100", 100.0).predict(change(CALL, attention="transformers")) is None


def test_crossover_is_where_one_prediction_meets_the_other() -> None:
    model, rival = time_model("h100", 100.0), change(CALL, attention="sdpa")
    length = predicted_crossover(model, CALL, rival)
    at, before = (
        [model.predict(change(s, length=n)).seconds for s in (CALL, rival)]
        for n in (int(length), int(length) - 1024)
    )
    assert at[0] <= at[1] and before[0] > before[1]
    assert predicted_crossover(model, rival, change(CALL, n_rounds=1)) == inf


def test_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match=r"device model 'h10'.*h100"):
        time_model("h10", 100.0)


def test_the_model_of_a_card_agrees_with_its_reference_results() -> None:
    """Within a factor of 1.6: a GPU waits for the first operations that its host issues.

    The constants of LSH attention were fitted to these. Published Reformers are not predicted.
    """
    n_compared = 0
    for record, s in reference_results("gpu-*"):
        if s.attention in PEERS:
            continue
        (card,) = (c for c in CARDS.values() if c.name == record["identity"]["device"])
        measured = median(median(samples) for samples in samples_of(record, "step")) / 1e3
        assert 1 / 1.6 < predict_on(card, s).seconds / measured < 1.6, record["label"]
        n_compared += 1
    assert n_compared >= 27


def test_the_model_of_this_cpu_agrees_with_the_reference_results() -> None:
    """Within a factor of 1.5 for LSH and fused full attention from 2,048 tokens on."""
    n_compared = 0
    for record, s in reference_results():
        if not record.get("time") or s.precision != "float32" or s.length < 2048:
            continue
        if s.attention not in ("lsh", "local", "sdpa"):
            continue
        gflops = median(job["gflops"] for job in record["jobs"] if job["kind"] == "time")
        predicted = time_model("cpu", gflops).predict(s).seconds
        measured = median(median(samples) for samples in samples_of(record, "step")) / 1e3
        assert 1 / 1.5 < predicted / measured < 1.5, record["label"]
        n_compared += 1
    assert n_compared >= 60
