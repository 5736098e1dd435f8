"""Titles say what their figure shows, in words that the drawn data bear out."""

import re
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


def test_the_longest_length_comes_first_and_each_length_with_what_holds_there():
    """Dense attention is not measured at the longest lengths, local attention is."""
    records = records_of("million", [BASE, LOCAL], length=[1024, 2048, 65536])
    records += records_of("million", [DENSE], length=[1024, 2048])
    view = view_of("million", gather(records))
    told = suite_finding(view, "time")
    assert re.match(r"At 65,536 tokens LSH-4 takes 2\.\d+ s a step and is .* times slower", told)
    assert re.search(r"than local attention; at 2,048 tokens LSH-4 is .* than dense sdpa;", told)
    told = suite_finding(view, "memory")
    assert re.match(r"At 65,536 tokens LSH-4 needs [\d.]+ GiB for activations, 1\.50 times", told)
    # another number of rounds goes further than the usual one
    records += records_of("million", [replace(BASE, n_rounds=2)], length=[131072])
    told = suite_finding(view_of("million", gather(records)), "time")
    assert re.match(r"At 131,072 tokens LSH-2 takes 3\.\d+ s a step; at 2,048 tokens LSH-4", told)


def test_the_fastest_published_reformer_is_told_beyond_the_reach_of_dense_attention():
    call = replace(BASE, subject="attention", measures=("time", "memory"))
    records = records_of("attention_length", [call], length=[1024, 2048, 4096])
    records += records_of("attention_length", [replace(call, attention="sdpa")], length=[1024])
    for name, slower in (("transformers", 9.0), ("reformer-pytorch", 5.0)):
        peers = records_of("attention_length", [call], length=[1024, 2048])
        for record in peers:
            record["case"] = f"{name} {record['case']}"
            record["settings"] = {**record["settings"], "attention": name}
            for process in record["time"]["processes"] if "time" in record else ():
                step = process["samples_ms"]["step"]
                process["samples_ms"]["step"] = [slower * ms for ms in step]
        records += peers
    told = suite_finding(view_of("attention_length", gather(records)), "time")
    found = re.search(r"; at 2,048 it is ([\d.]+) .* faster than reformer-pytorch-4, the", told)
    assert found, told
    assert float(found[1]) == pytest.approx(5.0, rel=0.03)


def test_with_several_layers_the_rivals_are_told_too():
    records = records_of("layers", [BASE, DENSE, LOCAL], n_layers=[2, 4])
    told = suite_finding(view_of("layers", gather(records)), "quality")
    words = r"with 4 layers the former is 0\.0[45]\d .* worse than the latter and 0.* than local"
    assert re.search(words, told), told


def test_where_rounds_are_lines_the_best_rounds_are_told():
    models = [replace(BASE, n_rounds=n) for n in (1, 4, 8)]
    records = records_of("recall", [*models, DENSE], length=[512, 1024])
    told = suite_finding(view_of("recall", gather(records)), "quality")
    words = (
        r"At 1,024 tokens LSH-4 is 0\.0[45].* worse than dense sdpa; LSH-8 is 0\.02.* worse than"
    )
    assert re.search(words, told), told


def test_on_a_gpu_titles_speak_of_bfloat16_and_of_the_launch():
    call = replace(BASE, subject="attention", measures=("time",))
    models = [call, replace(call, attention="sdpa")]
    models += [replace(model, precision="bfloat16") for model in models]
    models += [replace(model, cuda_graph=True) for model in models[2:]]
    records = records_of("attention_speed", models, length=[1024, 4096])
    assert suite_finding(view_of("attention_speed", gather(records)), "time").startswith(
        "In float32, launched by the host, at 4,096 tokens LSH-4 "
    )
    for record in records:
        record["identity"] = {**record["identity"], "device": "NVIDIA H200"}
    told = suite_finding(view_of("attention_speed", gather(records)), "time")
    assert told.startswith("In bfloat16, launched by the host, at 4,096 tokens LSH-4 is"), told


@pytest.mark.parametrize(
    ("best", "says"),
    [
        (3e-3, "LSH-4 at 0.003 (2.500 bits per dim, the smallest tried)"),
        (6e-3, "LSH-4 at 0.006 (2.500 bits per dim)"),
        (1e-2, "LSH-4 at 0.01 (2.500 bits per dim, the largest tried)"),
    ],
)
def test_a_best_rate_tells_its_ties_and_whether_it_is_at_the_edge(best, says):
    records = records_of("learning_rate", [BASE], learning_rate=[3e-3, 6e-3, 1e-2])
    for record in records:
        is_best = record["settings"]["learning_rate"] == best
        record["quality"]["bits_per_dim"] = (2.5 if is_best else 2.6) + 0.01 * record["seed"] - 0.01
    assert says in suite_finding(view_of("learning_rate", gather(records)), "quality")
    for record, off in zip(records[:3], (-0.01, 0.02, 0.0), strict=True):
        record["quality"]["bits_per_dim"] = 2.5 + off
    if best > 3e-3:
        told = suite_finding(view_of("learning_rate", gather(records)), "quality")
        assert "no visible difference from 0.003)" in told, told


def test_many_changes_are_counted_as_visible_by_holm():
    """Each interval alone leaves out 0, as some of many do by chance."""
    steps = [64, 128, 256, 512, 1024]
    records = records_of("attention_details", [BASE], d_ff=steps)
    for record in records:
        off = 0.0 if record["settings"]["d_ff"] == 256 else 0.01 + 0.003 * record["seed"]
        record["quality"]["bits_per_dim"] = 3.0 + off * (1 + record["settings"]["d_ff"] / 1e4)
    view = replace(view_of("attention_details", gather(records)), varies="")
    assert suite_finding(view, "quality").endswith(": 4 show no visible difference")
