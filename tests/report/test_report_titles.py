"""Titles say what their figure shows, in words that the drawn data bear out."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import BASE, DENSE, make_record

from report.figures.evaluated_with import evaluated_finding
from report.figures.of_suite import draw_suite
from report.findings import suite_finding
from report.page.sections import RunFacts, section_of
from report.reading.gathering import gather
from report.reading.view import view_of
from report.tables.evaluated_with_table import evaluated_cases
from suites.base import grid

LOCAL = replace(BASE, attention="local")


def records_of(suite, models, **values):
    """Draw three seeds of all models at these values of what a suite varies."""
    rng = np.random.default_rng(4)
    cases = [case for model in models for case in grid(model, **values)]
    return [make_record(case, [suite], seed, rng) for case in cases for seed in range(3)]


def test_a_measure_of_one_point_per_line_is_neither_drawn_nor_told(tmp_path):
    """Learning rates do not change the time of a step: it is measured at one rate only."""
    records = records_of("learning_rate", [BASE, DENSE], learning_rate=[3e-3])
    trained = [replace(model, measures=("quality",)) for model in (BASE, DENSE)]
    records += records_of("learning_rate", trained, learning_rate=[6e-3, 1e-2])
    view = view_of("learning_rate", gather(records))
    drawn = draw_suite(view, tmp_path)
    names = {path.stem for path in drawn}
    assert names == {"learning_rate_quality", "learning_rate_curves"}
    (told,) = section_of(view, [], RunFacts("run"))["findings"]
    assert told.startswith("Best: ")


@pytest.mark.parametrize(("rivals", "begins"), [([], "Fastest: "), ([LOCAL], "Of the LSH models ")])
def test_the_fastest_lsh_model_is_not_called_the_fastest_beside_a_faster_rival(rivals, begins):
    records = records_of("bucket_size", [BASE], bucket_size=[16, 32], chunk_length=[32, 128])
    records += records_of("bucket_size", rivals, length=[1024])
    told = suite_finding(view_of("bucket_size", gather(records)), "time")
    assert told.startswith(begins)


@pytest.mark.parametrize(
    ("seeds_of_full", "tied"),
    [
        (
            (-0.003, 0.006, 0.0),
            ", no visible difference from trained with LSH-8 and evaluated with fu",
        ),
        ((0.1, 0.11, 0.12), "(2.700 bits per dim)"),
    ],
)
def test_what_fewer_rounds_cost_is_told_and_a_best_pair_with_its_ties(seeds_of_full, tied):
    model = replace(BASE, evaluate_rounds=(1, 8, 0))
    records = records_of("hash_rounds", [model], n_rounds=[1, 8])
    for record in records:
        seed, n_rounds = record["seed"], record["settings"]["n_rounds"]
        truth = {"8": 2.7, "1": 3.8, "full": 2.7 + seeds_of_full[seed]}
        if n_rounds == 1:
            truth = {"8": 3.1, "1": 3.2, "full": 3.1}
        bits = {name: {"bits_per_dim": value + 0.01 * seed - 0.01} for name, value in truth.items()}
        record["quality"]["evaluated_with"] = bits
    told = evaluated_finding(evaluated_cases(gather(records)))
    costs = "Fewer hash rounds than in training cost most: LSH-8 goes from 2.700 to 3.800"
    assert told.startswith(f"{costs} bits per dim with LSH-1; best: trained with LSH-8"), told
    assert tied in told
    assert ("no visible" in told) == ("no visible" in tied)
