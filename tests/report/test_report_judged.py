"""Of tasks that are judged by accuracy, tables, figures and sentences tell it in per cent."""

import html
import json
import re

import pytest
from readable import figure_drawn_by
from synthetic import suites, true_bits

from report.claims.check import judge
from report.claims.claim import Claim
from report.compare.ablation import compare_by
from report.figures import quality
from report.figures.cost import write_ablation
from report.figures.of_suite import draw_suite
from report.findings import suite_finding
from report.reading.differences import score_difference
from report.reading.gathering import gather
from report.reading.judged import ACCURACY, BITS, judged_of
from report.reading.view import view_of
from report.tables.cases_table import suite_table
from suites.settings import BY_ACCURACY

PER_BIT = 100 / 8  # the synthetic accuracy is 1 - bits / 8


def of_task(records, suite, task, reference=None):
    copies = []
    for r in records:
        if suite in r["suites"]:
            copy = {**r, "suites": [suite], "settings": {**r["settings"], "task": task}}
            if r.get("quality"):
                data = {"name": task, "stand_in": False, "reference": reference or {}}
                copy["quality"] = {**r["quality"], "data": data}
            copies.append(copy)
    return copies


def words(path):
    return html.unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())))


@pytest.mark.parametrize("task", BY_ACCURACY)
def test_the_table_has_accuracy_in_percent(records, task):
    table = suite_table(gather(of_task(records, "hash_rounds", task))).set_index("model")
    assert "bits per dim" not in table
    for case in suites()["hash_rounds"]:
        s = case.settings
        name = f"LSH-{s.n_rounds}" if s.attention == "lsh" else "dense sdpa"
        value, half = map(float, table.loc[name, "accuracy in %"].split(" +- "))
        assert abs(value - 100 + PER_BIT * true_bits(s)) < half + 0.05


def nearly_perfect(records):
    """Seeds of a model are right at 100, 100 and 97 %: Student's interval reaches beyond 100."""
    copies = [json.loads(json.dumps(r)) for r in of_task(records, "hash_rounds", "recall")]
    for copy in copies:
        if copy.get("quality") and copy["settings"]["attention"] == "lsh":
            copy["quality"]["accuracy"] = 0.97 if copy["seed"] else 1.0
        elif copy.get("quality"):
            copy["quality"]["accuracy"] = 0.03 if copy["seed"] else 0.0
    return gather(copies)


def test_intervals_of_accuracies_are_cut_at_0_and_100(records, monkeypatch, tmp_path):
    cases = nearly_perfect(records)
    table = suite_table(cases).set_index("model")["accuracy in %"]
    assert re.fullmatch(r"98\.0 \(9\d\.\d to 100\.0\)", table["LSH-4"]), table["LSH-4"]
    assert re.fullmatch(r"2\.0 \(0\.0 to \d\.\d\)", table["dense sdpa"]), table["dense sdpa"]
    claim = Claim(
        name="right",
        says="{value} are right",
        quantity="accuracy",
        suite="hash_rounds",
        of={"n_rounds": 4},
        at_least=0.0,
    )
    [judged] = judge([claim], [record for case in cases for record in case.records])
    assert judged.value == f"{table['LSH-4']} %"
    view = view_of("hash_rounds", cases)
    [axes] = figure_drawn_by(quality.draw_quality, view, monkeypatch, tmp_path).axes
    low, high = axes.get_ylim()
    assert low < 0 < 100 < high
    assert [min(axes.get_yticks()), max(axes.get_yticks())] == [0, 100]
    ends = [y for bars in axes.collections for path in bars.get_paths() for _, y in path.vertices]
    assert 0 <= min(ends) < max(ends) <= 100


def test_the_difference_of_accuracies_is_100_points_at_most(records):
    lsh, *_, dense = sorted(nearly_perfect(records), key=lambda case: case.kind, reverse=True)
    change = score_difference(lsh, dense)
    assert change.low < change.value == 96
    assert change.high == 100


def test_other_tasks_have_bits_per_dim(records):
    table = suite_table(gather(of_task(records, "hash_rounds", "enwik8")))
    assert "bits per dim" in table
    assert "accuracy in %" not in table


def test_the_figure_has_accuracy_and_chance(records, tmp_path):
    copies = of_task(records, "hash_rounds", "recall", {"chance": 0.75})
    draw_suite(view_of("hash_rounds", gather(copies)), tmp_path)
    text = words(tmp_path / "hash_rounds_quality.svg")
    assert "held-out accuracy in % (higher is better)" in text
    assert f"chance: {100 * 2**-0.75:.2f}" in text
    assert "bits per dim" not in text
    changed = re.search(
        r"From 1 to 8 hash rounds, LSH gets (.*?) \(.*?points of accuracy better", text
    )
    assert float(changed[1]) == pytest.approx(0.175 * PER_BIT, abs=0.2)


def test_higher_is_better(records):
    """LSH-4 has 0.05 bits more than dense attention, and so answers fewer questions rightly."""
    cases = gather(of_task(records, "bucket_size", "recall"))
    text = suite_finding(view_of("bucket_size", cases), "quality")
    if "No visible" not in text:
        best, worst = re.search(
            r" best: .*?\(([\d.]+) % right\).*; worst: .*?\(([\d.]+) %", text
        ).groups()
        assert float(best) > float(worst)
    lsh = next(case for case in cases if case.settings.get("bucket_size") == 32)
    dense = next(case for case in cases if case.kind == "dense")
    assert score_difference(dense, lsh).value == pytest.approx(0.05 * PER_BIT, abs=0.1)
    copies = of_task(records, "bucket_size", "recall")
    ahead = Claim(
        name="dense is ahead",
        says="{value}",
        quantity="points of accuracy better",
        suite="bucket_size",
        of={"attention": "sdpa", "reversible": False},
        against={
            "attention": "lsh",
            "reversible": True,
            "bucket_size": 32,
            "chunk_length": 64,
        },
        at_least=0,
    )
    [found] = judge([ahead], copies)
    assert found.found == score_difference(dense, lsh)
    [found] = judge([ahead], records)
    assert found.reason == "its cases have no such measure"
    text = suite_finding(
        view_of("sequence_length", gather(of_task(records, "sequence_length", "recall"))), "quality"
    )
    assert "points of accuracy worse than dense sdpa" in text


def test_levels_are_compared_in_accuracy(records, tmp_path):
    found = compare_by(of_task(records, "hash_rounds", "recall"), "n_rounds")
    table = found.for_people()
    assert {"accuracy in %", "buys: accuracy against base"} <= set(table)
    numbers = found.table().set_index("n_rounds")
    assert numbers.loc[8, "accuracy_change"] == pytest.approx(0.175 * PER_BIT, abs=0.2)
    assert "points of accuracy" in found.finding()
    write_ablation(found, tmp_path)
    text = words(tmp_path / "compare_by_n_rounds.svg")
    assert "accuracy in % less that of 1 round" in text
    assert "(higher is better)" in text


def test_what_is_judged_by_different_numbers_is_not_compared(records, tmp_path):
    """On one axis all stand in bits per dim, which all have."""
    mixed = of_task(records, "hash_rounds", "recall") + of_task(records, "layers", "enwik8")
    mixed = [{**r, "suites": ["layers"]} for r in mixed]
    cases = gather(mixed)
    one, other = (next(c for c in cases if judged_of(c) == judged) for judged in (ACCURACY, BITS))
    assert score_difference(one, other) is None
    draw_suite(view_of("layers", cases), tmp_path)
    assert "held-out bits per dim" in words(tmp_path / "layers_quality.svg")
