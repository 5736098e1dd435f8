"""Comparisons find the answers that were planted."""

import re
from types import SimpleNamespace

import pandas as pd
import pytest
from synthetic import make_records, true_rest_bytes, true_step_ms

from report.compare import level_rows
from report.compare.ablation import compare_by
from report.compare.runs import compare_runs
from report.figures.cost import write_ablation
from report.reading.judged import BITS
from report.statistics.estimates import Estimate
from suites.settings import Settings


@pytest.fixture(scope="module")
def again():
    return make_records(seed=1)


def test_two_runs_of_the_same_are_the_same(records, again):
    found = compare_runs(records, again)
    verdicts = found.table["verdict"].value_counts()
    timed = len(found.table) - verdicts["fails in both"]
    assert found.exit_code == 0
    assert verdicts["same"] >= 0.7 * timed
    assert set(verdicts.index) <= {"same", "ambiguous", "fails in both"}
    assert (found.table["memory_ratio"].dropna() == 1).all()
    assert f"{verdicts['same']} same" in found.markdown()


@pytest.mark.parametrize("factor", ["n_rounds", "length", "attention"])
def test_a_terminal_of_80_columns_is_told_the_same(records, again, factor):
    def words(text):
        return {*re.findall(r"[\w.]+", text)}

    runs, levels = compare_runs(records, again), compare_by(records, factor)
    for text in (runs.text(80), levels.text(80)):
        assert max(map(len, text.splitlines())) <= 80
    assert words(runs.markdown()) <= words(runs.text(80))
    table = levels.for_people().drop(columns=["costs: memory against base"])
    shown = table[[name for name in table if not name.startswith("per extra")]]
    assert words(f"{levels.finding()} {' '.join(shown.to_numpy(str).ravel())}") <= words(
        levels.text(80)
    )


def test_levels_of_the_presets_task_come_first_and_a_table_has_only_its_own_columns(records):
    """Each group says of which task it is, or that it is of single calls."""
    of_pictures = [
        {**r, "case": r["case"][::-1], "settings": {**r["settings"], "task": "photos64"}}
        for r in records
        if "hash_rounds" in r["suites"] and r.get("quality")
    ]
    rounds = max(of_pictures, key=lambda r: r["settings"].get("n_rounds", 0))
    more = {**rounds["settings"], "n_rounds": 16}
    text = compare_by(
        [*of_pictures, {**rounds, "case": "16", "settings": more}, *records], "n_rounds"
    )
    groups = [*dict.fromkeys(one.group.split(", length")[0] for one in text.levels)]
    assert groups == ["enwiki-head, training", "photos64, training", "attention alone"]
    rows = text.text(80).split("\nattention alone")[-1].splitlines()
    assert re.fullmatch(r"n rounds +time +costs: time against base +activations", rows[1])
    assert re.match(r"1 \(base\)  \d", rows[3]), "a row a level, not a paragraph"


def test_what_a_level_buys_is_said_in_words_and_that_it_is_not_visible():
    for value, said in (
        (-0.3, "0.300 (0.200 to 0.400) better"),
        (0.3, "0.300 (0.200 to 0.400) worse"),
        (0.01, "no visible difference (+0.010 (-0.090 to +0.110))"),
    ):
        change = Estimate(value, value - 0.1, value + 0.1, 3)
        assert level_rows.change_text(change, BITS) == said


def test_a_planted_slow_down_is_found(records):
    found = compare_runs(records, make_records(seed=2, slower=1.1))
    assert found.exit_code == 1
    timed = found.table.dropna(subset=["time_ratio"])
    assert (timed["verdict"] == "slower").all()
    assert timed["time_ratio"].between(1.05, 1.15).all()
    assert ((timed["time_ratio_low"] < 1.1) & (1.1 < timed["time_ratio_high"])).mean() > 0.85
    assert compare_runs(make_records(seed=2, slower=1.1), records).exit_code == 0


def test_a_case_that_fails_now_counts_as_slower(records, again):
    case = next(r["case"] for r in again if r.get("time"))
    broken = [
        {k: v for k, v in r.items() if k not in ("time", "memory")}
        | {"status": "oom", "reason": "x"}
        if r["case"] == case
        else r
        for r in again
    ]
    found = compare_runs(records, broken)
    assert found.exit_code == 1
    assert list(found.table.loc[found.table["case"] == case, "verdict"]) == ["fails now"]
    assert compare_runs(broken, records).exit_code == 0


@pytest.mark.parametrize(
    ("status", "change", "worse"),
    [
        ("crash", lambda r: {"quality": None}, "status"),
        (
            "ok",
            lambda r: {"memory": {**r["memory"], "peak_bytes": 2 * r["memory"]["peak_bytes"]}},
            "memory",
        ),
    ],
)
def test_what_got_worse_beside_the_time_is_told(records, status, change, worse):
    case = next(r["case"] for r in records if r.get("time") and r.get("quality"))
    changed = [
        {**r, "status": status, "reason": "planted", **(change(r) if r.get("memory") else {})}
        if r["case"] == case
        else r
        for r in records
    ]
    found = compare_runs(records, changed)
    assert found.exit_code == 1
    row = found.table.set_index("case").loc[case]
    assert row["worse"] == worse
    assert found.table["worse"].ne("").sum() == 1
    if status != "ok":
        assert row["verdict"] == "fails now"
        assert "crash: planted" in found.markdown()


def test_worse_bits_of_three_seeds_are_told(records):
    case = next(r["case"] for r in records if r.get("quality"))
    changed = [
        {**r, "quality": {**r["quality"], "bits_per_dim": r["quality"]["bits_per_dim"] + 0.1}}
        if r["case"] == case
        else r
        for r in records
    ]
    found = compare_runs(records, changed)
    assert found.exit_code == 1
    assert found.table.set_index("case").loc[case, "worse"] == "quality"
    assert compare_runs(changed, records).exit_code == 0


def test_bits_are_paired_over_seeds(records, again):
    table = compare_runs(records, again).table.dropna(subset=["bits_change"])
    width = (table["bits_change_high"] - table["bits_change_low"]).median()
    assert width < 0.06, "the seeds' common 0.02 must cancel"
    assert ((table["bits_change_low"] < 0) & (0 < table["bits_change_high"])).mean() > 0.85


def test_nothing_in_common_and_different_machines_are_refused(records):
    half = len(records) // 2
    with pytest.raises(ValueError, match="no case in common"):
        compare_runs(records[:3], records[half : half + 3])
    other = [dict(r, identity={**r["identity"], "torch": "2.14.0"}) for r in records]
    with pytest.raises(ValueError, match=r"torch: 2\.13\.0 and 2\.14\.0"):
        compare_runs(records, other)
    assert "torch: 2.13.0 and 2.14.0" in compare_runs(records, other, mixed=True).markdown()


def test_what_each_extra_round_buys_and_costs(records):
    found = compare_by(records, "n_rounds")
    table = found.table()
    main = table[table["where"] == "enwiki-head, training, length 1024"]
    assert list(main["n_rounds"]) == [1, 2, 4, 8]
    assert set(main["base"]) == {1}
    base = Settings(n_rounds=1)
    for _, row in main.iterrows():
        rounds = row["n_rounds"]
        settings = Settings(n_rounds=rounds)
        ratio = true_step_ms(settings) / true_step_ms(base)
        change = 0.2 / rounds - 0.2
        assert row["memory_ratio"] == pytest.approx(
            true_rest_bytes(settings) / true_rest_bytes(base)
        )
        if rounds == 1:
            assert (row["bits_change"], row["time_ratio"]) == (0, 1)
        else:
            assert row["time_ratio_low"] <= ratio <= row["time_ratio_high"]
            assert row["bits_change"] == pytest.approx(change, abs=0.012)
            assert row["verdict"] == "slower"
            assert 0.03 <= row["smallest_visible"] < ratio - 1
    assert re.match(
        r"1 round to 2 rounds: 0\.(09|10)\d \(0\.\d+ to 0\.\d+\) bits per dim better for ",
        found.finding(),
    )
    people = found.for_people()
    assert people["n rounds"].iloc[0] == "1 (base)"
    assert "per extra round: bits" in people
    extra = people["per extra round: time"].iloc[1]
    found = [float(n) for n in re.findall(r"[+-][\d.]+", extra)]
    true = true_step_ms(Settings(n_rounds=2)) - true_step_ms(base)
    assert found[1] < true < found[2], extra


def test_pairs_are_equal_in_all_else(records):
    settings = {r["case"]: r["settings"] for r in records}
    for factor in ("n_rounds", "bucket_size", "chunk_length", "n_layers", "length"):
        for level in compare_by(records, factor).levels:
            one, base = settings[level.case.id], settings[level.base.id]
            ignored = {"evaluate_rounds", "chunk_length" if factor == "bucket_size" else ""}
            differing = {k for k in one if one[k] != base[k]} - ignored
            assert differing <= {factor}
            if factor == "bucket_size":
                chunks = [s["chunk_length"] or 2 * s["bucket_size"] for s in (one, base)]
                assert chunks[0] == chunks[1]


def test_another_base_and_wrong_names(records):
    found = compare_by(records, "n_rounds", base="4")
    assert {level.base.settings["n_rounds"] for level in found.levels} == {4}
    with pytest.raises(ValueError, match="did you mean 'n_rounds'"):
        compare_by(records, "n_round")
    with pytest.raises(ValueError, match="unknown level of n_rounds '3'"):
        compare_by(records, "n_rounds", base="3")
    with pytest.raises(ValueError, match="no two cases differ in d_model alone"):
        compare_by(records, "d_model")


def test_by_attention_the_models_stand_against_sdpa(records):
    found = compare_by(records, "attention")
    assert all(level.base.settings["attention"] == "sdpa" for level in found.levels)
    names = {level.name for level in found.levels}
    assert any(name.startswith("LSH-4") for name in names)
    assert any(name.startswith("dense naive") for name in names)


def test_files_are_written_and_the_figure_names_its_levels(tmp_path, records):
    paths = write_ablation(compare_by(records, "n_rounds"), tmp_path)
    assert {path.suffix for path in paths} == {".md", ".csv", ".png", ".svg", ".pdf"}
    svg = (tmp_path / "compare_by_n_rounds.svg").read_text()
    for text in ("1 round", "8 rounds", "dense sdpa", "lower is better"):
        assert text in svg
    frame = pd.read_csv(tmp_path / "compare_by_n_rounds.csv")
    assert set(frame["status"]) == {"ok"}


@pytest.mark.parametrize(
    ("low", "value", "high", "said"),
    [
        (1.2, 1.25, 1.3, "1.25 times the time"),
        (0.4, 0.5, 0.6, "2.00 times less time"),
        (0.9, 0.95, 1.01, "0.95 times the time"),
    ],
)
def test_a_headline_says_more_and_less_time_as_people_do(
    records, monkeypatch, low, value, high, said
):
    ratio = SimpleNamespace(value=value, low=low, high=high)
    monkeypatch.setattr(level_rows, "time_ratio", lambda *_: ratio)
    one = compare_by(records, "n_rounds").levels[1]
    assert level_rows.step_text(one, one.base, "1 round").endswith(f" for {said}")
