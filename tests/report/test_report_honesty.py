"""What a report says is no more than its records tell."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from synthetic import BASE, DENSE, make_record

from report.claims.check import judge
from report.claims.claim import Claim
from report.claims.quantities import Ambiguous
from report.compare.ablation import compare_cases
from report.comparison import difference_text, no_difference_text
from report.extremes import no_visible_difference
from report.figures import quality
from report.findings import suite_finding
from report.page.ablations import ablations_json
from report.page.caveats import speed_caveats
from report.page.page import write_report
from report.page.sections import RunFacts, command_of, no_command_text
from report.reading.captions import caption_of
from report.reading.gathering import gather
from report.reading.judged import ACCURACY, BITS
from report.reading.rivals import scaling_of
from report.reading.view import view_of
from report.statistics.estimates import Estimate
from report.tables.cases_table import to_frame
from report.tables.scaling_table import scaling_table
from report.text import bytes_text, three_digits
from suites.base import make_case

MIB = 2**20


def records_of(suite, *settings, seeds=(0,)):
    rng = np.random.default_rng(5)
    return [make_record(make_case(s), [suite], seed, rng) for s in settings for seed in seeds]


@pytest.mark.parametrize("judged", [BITS, ACCURACY])
def test_better_and_worse_are_said_of_what_is_known_alone(judged):
    assert "worse" in difference_text(Estimate(0.2, 0.1, 0.3), BITS)
    assert "better" in difference_text(Estimate(0.2, 0.1, 0.3), ACCURACY)
    unknown = Estimate(0.1, -0.1, 0.3)
    assert difference_text(unknown, judged) == ""
    assert no_difference_text(unknown, judged).startswith("no visible difference (+0.1")
    tiny = Estimate(-1e-6, -2e-6, -1e-7)
    assert difference_text(tiny, judged) == "", "no digit of it is told"
    assert "no visible difference (less than 0." in no_difference_text(tiny, judged)
    of_one_seed = Estimate(0.2)
    assert difference_text(of_one_seed, judged) == ""
    assert no_difference_text(of_one_seed, judged).startswith("a difference of one seed (+0.2")


def test_one_seed_has_no_best_and_worst():
    one, other = gather(records_of("layers", replace(BASE, n_layers=2), replace(BASE, n_layers=8)))
    assert no_visible_difference(one, other, "quality")
    several = records_of(
        "layers", replace(BASE, n_layers=2), replace(BASE, n_layers=8), seeds=(0, 1, 2)
    )
    assert not no_visible_difference(*gather(several), "quality")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1110, "1,110"),
        (999.6, "1,000"),
        (999.4, "999"),
        (0.0123, "0.0123"),
        (57.0, "57.0"),
        (1.9, "1.90"),
        (100, "100"),
        (0.0, "0.00"),
        (-2345.6, "-2,346"),
    ],
)
def test_numbers_have_no_exponents(value, told):
    assert three_digits(value) == told
    assert "e+" not in bytes_text(abs(value) * MIB)


def test_local_attention_is_compared_where_both_were_measured():
    """The Reformer and dense attention meet at 1,024 tokens at most, it and local at 4,096."""
    settings = [replace(BASE, length=n) for n in (512, 1024, 4096)]
    settings += [replace(BASE, attention="local", length=n) for n in (512, 1024, 4096)]
    settings += [replace(DENSE, length=n) for n in (512, 1024)]
    view = view_of("sequence_length", gather(records_of("sequence_length", *settings)))
    text = suite_finding(view, "memory")
    assert text.startswith("At 4,096 tokens")
    assert re.search(r"local attention; at 1,024 tokens LSH-4 .* dense", text), text


def test_the_base_among_models_is_the_published_one_with_shared_queries_and_keys():
    """Separate ones come first by name."""
    settings = [BASE, replace(DENSE, shared_qk=False), replace(DENSE, shared_qk=True)]
    found = compare_cases(gather(records_of("hash_rounds", *settings)), "attention")
    assert {one.base.settings["shared_qk"] for one in found.levels} == {True}


def test_intervals_are_the_same_in_every_table():
    """Noise is moderated over all cases of a kind, in the table for programs too."""
    records = records_of("sequence_length", *(replace(BASE, length=2**k) for k in range(7, 13)))
    cases = {case.id: case.time() for case in gather(records)}
    for row in to_frame(records).to_dict("records"):
        assert (row["step_ms_low"], row["step_ms_high"]) == (
            cases[row["case"]].low,
            cases[row["case"]].high,
        )


def test_no_power_is_fitted_to_nothing():
    records = records_of("sequence_length", *(replace(BASE, length=n) for n in (512, 1024, 2048)))
    records[0]["memory"] = {**records[0]["memory"], "rest_bytes": 0, "live_rest_bytes": 0}
    [line] = view_of("sequence_length", gather(records)).series
    assert scaling_of(line, "memory").lengths == (1024, 2048)


def test_what_was_not_measured_has_no_caption():
    assert caption_of([]) == ""


def test_shares_are_drawn_from_0_to_100(tmp_path, monkeypatch):
    """Of two seeds as far apart as can be, Student's interval reaches from -600 to 700 %."""
    axes = []
    monkeypatch.setattr(quality, "save", lambda figure, *_: axes.extend(figure.axes) or [])
    settings = [replace(BASE, task="recall", length=n) for n in (512, 1024)]
    records = records_of("sequence_length", *settings, seeds=(0, 1))
    for record in records:
        record["quality"]["accuracy"] = float(record["seed"])
    quality.draw_quality(view_of("sequence_length", gather(records)), tmp_path)
    low, high = axes[0].get_ylim()
    assert -10 <= low <= 0 and 100 <= high <= 110


def test_what_has_no_costs_has_no_table_of_how_they_scale():
    settings = [replace(BASE, task="recall", length=n, measures=("quality",)) for n in (512, 1024)]
    assert (
        scaling_table(view_of("sequence_length", gather(records_of("recall", *settings)))) is None
    )


def test_the_ablation_view_names_what_it_draws():
    settings = [replace(BASE, task="recall", n_rounds=n) for n in (2, 4)]
    told = json.loads(ablations_json(records_of("hash_rounds", *settings, seeds=(0, 1)), [], False))
    assert told["n rounds"]["4"]["score"] == ACCURACY.difference


def test_the_speed_of_the_machine_is_told_by_precision():
    """On a GPU a bfloat16 product is faster than a float32 one, and both are as they were."""
    records = records_of("attention_speed", BASE, replace(BASE, precision="bfloat16"))
    for record, rate in zip(records, (400.0, 700.0), strict=True):
        record["identity"] = {**record["identity"], "device": "cuda"}
        record["jobs"] = [{"kind": "time", "gflops": rate * f} for f in (1.0, 1.01)]
    assert speed_caveats(records) == []
    records[1]["jobs"][0]["gflops"] = 500.0
    [told] = speed_caveats(records)
    assert "a bfloat16 matrix product ran at 500 to 707" in told


def test_the_command_of_a_suite_is_the_one_that_made_it():
    assert command_of("layers", RunFacts("a b", "gpu", (0,), "cuda")) == (
        "python run_bench.py run layers --preset gpu --seeds 1 --device cuda --run 'a b'"
    )
    assert (
        command_of(
            "layers", (mine := RunFacts("mine", "cpu", changed={"layers": ["max_processes"]}))
        )
        == ""
    )
    assert "of its cases max processes were set otherwise" in no_command_text("layers", mine)
    assert no_command_text("hash_rounds", mine) == ""


def planted(**entries):
    told = {"name": "planted", "says": "it is {value}", "suite": "hash_rounds", "at_least": 0}
    return Claim(**{**told, "quantity": "time", "of": {"attention": "lsh"}, **entries})


def test_a_page_leaves_out_a_claim_that_two_cases_fit():
    records = records_of("hash_rounds", BASE, replace(BASE, d_model=128))
    with pytest.raises(Ambiguous, match="2 cases"):
        judge([planted()], records)
    [found] = judge([planted()], records, strict=False)
    assert found.verdict == "inconclusive"
    assert "2 cases" in found.reason


@pytest.mark.parametrize("quantity", ["time", "memory", "accuracy", "bits per dim"])
def test_a_claim_says_no_more_than_its_quantity_reads(quantity):
    with pytest.raises(ValueError, match=r"entry of where in claim 'planted'.*parts"):
        judge([planted(quantity=quantity, where={"parts": "forward"})], [])


def test_a_page_keeps_its_style_as_it_was_written(tmp_path):
    records = records_of("hash_rounds", BASE)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "records.jsonl").write_text(lines)
    write_report(tmp_path)
    page = (tmp_path / "index.html").read_text()
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert "&#34;" not in style and "&gt;" not in style and "DejaVu" in style
    assert "No case failed." in page
