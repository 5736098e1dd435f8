"""Reports tell the rivals of the Reformer apart, and set it against the fair one."""

import re
from dataclasses import replace

import numpy as np
import pytest
from synthetic import BASE, DENSE, make_record

from report.compare.ablation import compare_by
from report.figures.learning_curves import draw_learning_curves
from report.figures.looks import looks
from report.findings import suite_finding
from report.reading.gathering import gather
from report.reading.rivals import rivals_of
from report.reading.view import view_of, views_of
from report.tables.cases_table import suite_table
from report.tables.scaling_table import scaling_table
from suites.base import grid, unique
from suites.labels import labels, means_text
from suites.settings import Settings

PIECES = {"ff_chunks": 4, "loss_chunks": 4}
OURS = replace(BASE, **PIECES)
MEANS = replace(OURS, attention="sdpa")
LOCAL = replace(OURS, attention="local")
MODELS = (OURS, LOCAL, DENSE, MEANS)
ORDINARY = "dense sdpa, ordinary layers"
FAIR = "dense sdpa, reversible and chunked"


def records_of(suite, models, **values):
    """Draw the records of all models at these values of what a suite varies."""
    rng = np.random.default_rng(3)
    cases = unique([case for model in models for case in grid(model, **values)])
    return [make_record(case, [suite], seed, rng) for case in cases for seed in range(3)]


def view(suite, models, **values):
    return view_of(suite, gather(records_of(suite, models, **values)))


@pytest.fixture(scope="module")
def lengths():
    return view("sequence_length", MODELS, length=[512, 1024, 2048])


def test_each_model_is_a_line_of_its_own(lengths):
    assert [(s.name, s.kind) for s in lengths.series] == [
        ("LSH-4", "reformer"),
        ("local attention", "local"),
        (ORDINARY, "dense"),
        (FAIR, "dense"),
    ]
    assert len({*looks(lengths.series)}) == 4
    assert {*suite_table(lengths.cases)["model"]} == {s.name for s in lengths.series}


def test_pieces_that_grow_with_the_length_make_one_line():
    models = [
        replace(model, length=length, **dict.fromkeys(PIECES, length // 128))
        for length in (512, 1024)
        for model in (OURS, MEANS)
    ]
    found = view("million", [*models, replace(DENSE, length=512), replace(DENSE, length=1024)])
    assert {s.name: len(s.points) for s in found.series} == {"LSH-4": 2, ORDINARY: 2, FAIR: 2}


def test_pieces_that_the_phrase_does_not_tell_are_told_apart():
    models = [MEANS, replace(MEANS, ff_chunks=8), DENSE]
    names = [s.name for s in view("layers", models, n_layers=[2, 4]).series]
    assert len({*names}) == 3
    assert sum("8 ff chunks" in name for name in names) == 1
    told = labels([model.measured() for model in models])
    assert len({*told}) == 3


def test_the_rival_is_the_harder_one(lengths):
    """In memory it is the dense model with the Reformer's means, in time the one as published."""
    assert rivals_of(lengths.series, "memory").dense.name == FAIR
    assert rivals_of(lengths.series, "time").dense.name == ORDINARY
    text = suite_finding(lengths, "memory")
    # 1 + 4 / 2 per position against 4, and against 2 with local attention
    assert re.search(rf", 1\.33 times less than the [\d.]+ MiB of {FAIR},", text), text
    assert re.search(r"LSH-4 needs .*, 1\.50 times more than .* of local attention$", text), text


def test_the_dense_model_is_named_where_there_is_only_one():
    found = view("sequence_length", (OURS, DENSE), length=[512, 1024])
    assert suite_finding(found, "memory").endswith("of dense sdpa (ordinary layers)")
    assert "ordinary" not in suite_finding(found, "time")


def test_lsh_with_ordinary_layers_does_not_stand_for_the_reformer():
    plain = replace(OURS, reversible=False, ff_chunks=1, loss_chunks=1)
    found = view("layers", (plain, *MODELS), n_layers=[2, 4, 8])
    assert rivals_of(found.series, "memory").ours.name == "LSH-4, reversible and chunked"
    assert {s.name for s in found.series if s.kind == "reformer"} == {
        "LSH-4, reversible and chunked",
        "LSH-4, ordinary layers",
    }


def test_titles_tell_local_attention(lengths):
    text = suite_finding(lengths, "time")
    found = re.search(r"\(([\d.]+) to ([\d.]+)\) times slower than local", text)
    low, high = map(float, found.groups())
    assert low <= 20 / 8 <= high
    text = suite_finding(lengths, "quality")
    low, high = map(
        float, re.search(r"\(([\d.]+) to ([\d.]+)\) bits per dim better than local", text).groups()
    )
    assert low <= 0.05 <= high


def test_local_attention_is_something_to_be_faster_than(lengths):
    table = scaling_table(lengths).set_index("model")
    told = [name for name in table if name.startswith("faster than")]
    assert told[0] == f"faster than {ORDINARY} from"
    assert "faster than local attention from" in told
    assert table.loc["LSH-4", "faster than local attention from"].startswith("beyond")
    assert table.loc["local attention", f"faster than {ORDINARY} from"].startswith("below")
    assert table.loc["local attention", "faster than local attention from"] == ""
    assert table.loc[ORDINARY, "faster than local attention from"] == ""


def test_buckets_and_rounds_are_no_axis_of_local_attention():
    rounds = view("hash_rounds", MODELS, n_rounds=[1, 2, 4])
    assert {s.name: s.on_axis for s in rounds.series}["local attention"] is False
    local = [replace(LOCAL, chunk_length=n) for n in (32, 64)]
    found = view("bucket_size", [OURS, *local], bucket_size=[16, 32])
    names = {s.name: s.on_axis for s in found.series if s.kind == "local"}
    assert names == dict.fromkeys(("local attention, chunk 32", "local attention, chunk 64"), False)
    assert "; local attention, chunk 32: " in suite_finding(found, "quality")


def test_the_best_rate_of_each_family_is_told():
    found = view("learning_rate", MODELS, learning_rate=[3e-3, 6e-3])
    assert all(s.on_axis and len(s.points) == 2 for s in found.series)
    text = suite_finding(found, "quality")
    assert text.startswith("Best: LSH-4 at 0.00")
    assert len(re.findall(r" at 0\.00[36] \(\d\.\d{3} bits per dim, ", text)) == 4


def test_values_that_are_no_whole_numbers_are_told_as_they_are(tmp_path):
    found = view("learning_rate", MODELS, learning_rate=[3e-3, 6e-3])
    drawn = draw_learning_curves(found, tmp_path)
    text = next(path for path in drawn if path.suffix == ".svg").read_text()
    assert "learning rate 0.003" in text
    assert "learning rate 0 " not in text
    told = suite_finding(replace(found, varies="dropout"), "quality")
    assert told.startswith("From 0.003 to 0.006 dropout, LSH-4 ")


def test_families_are_compared_each_at_its_own_rate():
    models = (OURS, *(replace(model, learning_rate=0.01) for model in (LOCAL, DENSE, MEANS)))
    records = records_of("hash_rounds", models, n_rounds=[1, 4])
    by_model = compare_by(records, "attention")
    names = {one.name for one in by_model.levels}
    assert len({one.group for one in by_model.levels}) == 1
    assert len(names) == 5
    by_rounds = compare_by(records, "n_rounds")
    assert [one.name for one in by_rounds.others] == ["local attention", ORDINARY, FAIR]


def test_separate_queries_and_keys_are_compared_at_their_own_rate():
    shared = replace(DENSE, shared_qk=True, learning_rate=6e-3)
    separate = replace(DENSE, learning_rate=1e-3)
    found = compare_by(records_of("shared_qk", [shared, separate], length=[512, 1024]), "shared_qk")
    assert [one.level for one in found.levels] == [False, True, False, True]
    assert [one.group for one in found.levels] == ["enwiki-head, training, length 512"] * 2 + [
        "enwiki-head, training, length 1024"
    ] * 2
    assert all(one.score_change is not None for one in found.levels)


def test_raw_keys_are_compared_with_unit_keys_which_have_a_logit_scale():
    unit = replace(DENSE, shared_qk=True)
    raw = replace(unit, unit_keys=False)
    found = compare_by(records_of("duplication", [unit, raw]), "unit_keys")
    assert [one.level for one in found.levels] == [False, True]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "reversible"),
        ({"reversible": False}, "ordinary layers"),
        ({"ff_chunks": 2}, "reversible and chunked"),
        ({"reversible": False, "loss_chunks": 2}, "chunked"),
        ({"subject": "attention", "measures": ("time",)}, ""),
    ],
)
def test_means_are_said_in_one_phrase(changes, said):
    assert means_text(Settings(**changes).measured()) == said


PICTURES = replace(DENSE, task="photos64", length=768, d_model=64, train_steps=400)


def test_each_task_of_a_suite_is_a_view_of_its_own():
    cases = gather(records_of("reversible", [DENSE, PICTURES], reversible=[False, True]))
    text, pictures = views_of("reversible", cases)
    assert (text.name, pictures.name) == ("reversible_enwiki-head", "reversible_photos64")
    for view, task in ((text, "enwiki-head"), (pictures, "photos64")):
        assert {case.settings["task"] for case in view.cases} == {task}
        assert len(view.series) == 1
        assert len(view.categories) == 2
    (only,) = views_of("reversible", text.cases)
    assert only.name == "reversible"


def test_the_name_of_ones_own_task_is_that_of_a_file():
    own = replace(PICTURES, task="own.tasks:load")
    views = views_of("reversible", gather(records_of("reversible", [DENSE, own], n_layers=[2])))
    assert [view.name for view in views] == ["reversible_enwiki-head", "reversible_own_tasks_load"]


def test_what_follows_from_the_task_is_not_said():
    found = compare_by(
        records_of("reversible", [DENSE, PICTURES], reversible=[False, True]), "reversible"
    )
    assert {one.group for one in found.levels} == {"enwiki-head, training", "photos64, training"}


@pytest.mark.parametrize("better", ["shared QK", "separate Q and K"])
def test_in_quality_the_rival_is_the_best_dense_model(better):
    """In time it is the one that shares queries and keys as the Reformer does, whichever learns."""
    shared = replace(DENSE, shared_qk=True, learning_rate=6e-3)
    separate = replace(DENSE, shared_qk=False, learning_rate=3e-3)
    records = records_of("hash_rounds", [separate, shared], length=[1024])
    records += records_of("hash_rounds", [OURS], n_rounds=[1, 4])
    for record in records:
        s = record["settings"]
        is_worse = s["attention"] == "sdpa" and s["shared_qk"] != (better == "shared QK")
        record["quality"]["bits_per_dim"] += 0.25 * is_worse
    found = view_of("hash_rounds", gather(records))
    assert rivals_of(found.series, "quality").dense.name == f"dense sdpa, {better}"
    assert rivals_of(found.series, "time").dense.name == "dense sdpa, shared QK"
    assert f"dense sdpa, {better}" in suite_finding(found, "quality")


@pytest.mark.parametrize("better", [FAIR, ORDINARY])
@pytest.mark.parametrize("longer", [FAIR, ORDINARY])
def test_the_best_dense_model_is_the_rival_however_few_points_it_has(better, longer):
    records = records_of("layers", [DENSE, MEANS], n_layers=[2, 4])
    more = DENSE if longer == ORDINARY else MEANS
    records += records_of("layers", [more], n_layers=[8])
    records += records_of("layers", [OURS], n_layers=[2, 4, 8])
    for record in records:
        s = record["settings"]
        is_worse = s["attention"] == "sdpa" and s["reversible"] != (better == FAIR)
        record["quality"]["bits_per_dim"] += 0.25 * is_worse
    found = view_of("layers", gather(records))
    assert rivals_of(found.series, "quality").dense.name == better


def test_a_dense_model_at_one_length_does_not_stand_for_all_lengths():
    records = records_of("sequence_length", [OURS, DENSE], length=[512, 1024, 2048])
    short = records_of("sequence_length", [MEANS], length=[512])
    for record in short:
        record["quality"]["bits_per_dim"] -= 0.25
    found = view_of("sequence_length", gather([*records, *short]))
    assert rivals_of(found.series, "quality").dense.name == ORDINARY


def test_a_learning_rate_is_told_where_nothing_else_tells():
    rates = [replace(DENSE, shared_qk=True, learning_rate=rate) for rate in (3e-3, 6e-3)]
    named = [s.name for s in view("hash_rounds", rates, length=[1024]).series]
    assert named == ["dense sdpa, learning rate 0.003", "dense sdpa, learning rate 0.006"]
