"""Tables have a row for every case, seed and suite, with numbers that agree with the samples."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gmean
from synthetic import make_records, write_lines

from report.reading.cases import load_run, suite_names
from report.reading.gathering import gather
from report.reading.view import view_of
from report.statistics.estimates import Estimate
from report.tables.cases_table import FIRST_COLUMNS, suite_table, to_frame
from report.tables.markup import to_latex, to_markdown
from report.text import all_digits, bytes_text, length_text, ms_text


def test_a_row_per_case_seed_and_suite_with_failures(records):
    frame = to_frame(records)
    expected = Counter((r["case"], r["seed"], s) for r in records for s in r["suites"])
    found = Counter(zip(frame["case"], frame["seed"], frame["suite"], strict=True))
    assert found == expected
    assert list(frame.columns[: len(FIRST_COLUMNS)]) == FIRST_COLUMNS
    statuses = frame.groupby("status")["reason"].unique().to_dict()
    assert list(statuses["oom"]) == ["out of memory: 8,589,934,592 bytes asked for"]
    assert {"crash", "timeout", "ok"} <= set(statuses)


def test_numbers_come_from_the_samples(records):
    frame = to_frame(records).set_index(["case", "seed", "suite"])
    for record in records:
        row = frame.loc[(record["case"], record["seed"], record["suites"][0])]
        for part in ("forward", "backward", "optimizer", "step"):
            processes = (record.get("time") or {}).get("processes", [])
            medians = [np.median(p["samples_ms"][part]) for p in processes]
            value = row[f"{part}_ms"]
            assert np.isnan(value) if not medians else value == pytest.approx(gmean(medians))
        settings = record["settings"]
        if settings["attention"] == "lsh":
            chunk = settings["chunk_length"] or 2 * settings["bucket_size"]
            assert (row["model"], row["chunk_length"]) == ("reformer", chunk)
        else:
            assert row["model"] == "dense"
            assert pd.isna(row["n_rounds"])
        if record.get("memory"):
            assert row["rest_bytes"] == record["memory"]["rest_bytes"]
            tokens = settings["batch"] * settings["length"]
            assert row["tokens_per_second"] == pytest.approx(1000 * tokens / row["step_ms"])


def test_how_time_and_memory_were_found_stands_in_the_rows(records):
    record = json.loads(json.dumps(next(r for r in records if r.get("time"))))
    first, second = record["time"]["processes"] = record["time"]["processes"][:2]
    first["first_ms"]["step"], second["first_ms"]["step"] = 70.0, 90.0
    first["samples_ms"]["step"] = [10.0, 10.1, 10.2, 10.1, 10.0, 30.0]
    second["samples_ms"]["step"] = [10.0, 10.1, 10.2, 10.1, 10.0, 1.0, 10.1]
    second["steady"] = False
    memory = record["memory"]
    memory |= {"predicted_bytes": int(0.6 * memory["live_peak_bytes"]), "reserved_bytes": 2**30}
    row = to_frame([record]).iloc[0]
    assert (row["first_step_ms"], row["n_samples"], row["n_outliers"]) == (80, 13, 2)
    assert not row["steady"]
    for name in ("baseline", "weights", "gradients", "optimizer", "reserved"):
        assert row[f"{name}_bytes"] == memory[f"{name}_bytes"]
    assert row["memory_method"] == "vmhwm"
    assert row["mispredicted_by"] == pytest.approx(-0.4, abs=0.01)
    assert "(40 % too low)" in suite_table(gather([record]))["predicted"].iloc[0]
    fine = dict(record, memory={**memory, "predicted_bytes": memory["live_peak_bytes"]})
    assert pd.isna(to_frame([fine])["mispredicted_by"].iloc[0])


def test_csv_reads_back_with_whole_numbers(run_folder, records):
    frame = pd.read_csv(run_folder / "table.csv")
    assert len(frame) == len(to_frame(records))
    assert (frame["run"] == run_folder.name).all()
    assert frame.notna().any().all(), "no column is empty"
    timed = frame[frame["step_ms_low"].notna()]
    assert len(timed) > 10
    assert (timed["step_ms_low"] < timed["step_ms"]).all()
    assert (timed["step_ms"] < timed["step_ms_high"]).all()
    assert any(name.startswith("evaluated_with_") for name in frame)
    text = (run_folder / "table.csv").read_text().splitlines()
    column = text[0].split(",").index("n_rounds")
    assert {line.split(",")[column] for line in text[1:]} <= {"", "1", "2", "4", "8"}


def test_the_newest_record_of_a_case_and_seed_wins_and_torn_lines_do_not_count(tmp_path, records):
    old, new = dict(records[0]), dict(records[0], status="crash", reason="later")
    write_lines(tmp_path, [old, records[1], new])
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write(json.dumps(records[2])[:50])
    found = load_run(tmp_path)
    assert [r["reason"] for r in found if r["case"] == old["case"] and r["seed"] == 0] == ["later"]
    assert len(found) == 2


def test_no_records_and_newer_records_are_refused(tmp_path, records):
    with pytest.raises(ValueError, match=r"no records in .*run_bench"):
        load_run(tmp_path)
    write_lines(tmp_path, [dict(records[0], format=99)])
    with pytest.raises(ValueError, match=r"format 99.*reads up to 2"):
        load_run(tmp_path)


def test_records_of_different_identity_are_refused_or_labelled(records):
    other = [dict(r, identity={**r["identity"], "threads": 4}) for r in records[:6]]
    with pytest.raises(ValueError, match="threads: 2 and 4"):
        gather([*records, *other])
    cases = gather([*records[:6], *other], mixed=True)
    assert {case.mark for case in cases} == {"threads 2", "threads 4"}
    assert len(cases) == 2 * len(gather(records[:6]))
    view = view_of("sequence_length", cases)
    assert {s.name.split(", ")[-1] for s in view.series} == {"threads 2", "threads 4"}
    assert view.caption.startswith("MIXED")
    with pytest.raises(ValueError, match="method"):
        gather([records[0], dict(records[1], method=999)])


def test_of_a_case_in_several_runs_the_newest_record_counts_in_the_suites_of_both(records):
    old = dict(records[0], suites=["layers"], wall_s=1.0)
    new = dict(records[0], suites=["components"], wall_s=2.0, started="2026-01-02T00:00:00+00:00")
    for both in ([old, new], [new, old]):
        (case,) = gather(both)
        assert case.records[0]["wall_s"] == 2.0
        assert sorted(case.suites) == ["components", "layers"]
    # in one file the later line is the newer one
    (case,) = gather([old, dict(old, wall_s=3.0)])
    assert (case.records[0]["wall_s"], case.suites) == (3.0, ["layers"])


def test_tables_for_people(records):
    cases = gather(records)
    table = suite_table(view_of("sequence_length", cases).cases)
    assert table["failure"].str.contains("out of memory").sum() == 1
    lines = to_markdown(table).splitlines()
    bars = {line.replace("\\|", "").count("|") for line in lines}
    assert bars == {len(table.columns) + 1}
    assert len(lines) == len(table) + 2
    latex = to_latex(table, "50 % & more_or_less", "tab:a run_1-layers")
    assert r"\label{tab:a-run-1-layers}" in latex
    assert r"50 \% \& more\_or\_less" in latex
    rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    columns = {line.replace(r"\&", "").count("&") + 1 for line in rows}
    assert columns == {len(table.columns)}
    assert r"$\pm$" in latex
    assert "+-" not in latex


def test_intervals_in_the_tables_hold_the_truth(records):
    """Of the intervals in the tables about 95 of 100 hold the true time, of 3 processes each."""
    from synthetic import suites, true_step_ms

    truth = {case.id: true_step_ms(case.settings) for cases in suites().values() for case in cases}
    hits = [
        time.low <= truth[case.id] <= time.high
        for seed in range(20)
        for case in gather(make_records(seed=seed, n_seeds=1))
        if (time := case.time())
    ]
    assert 0.9 <= np.mean(hits) <= 0.995


def test_all_suites_in_order(records):
    assert set(suite_names(gather(records))) == {
        "sequence_length",
        "hash_rounds",
        "bucket_size",
        "layers",
        "attention_speed",
    }


def test_report_needs_no_torch():
    code = (
        "import report.page.page, report.figures.cost, report.compare.runs, sys; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_lopsided_intervals_are_told_by_their_ends():
    assert ms_text(Estimate(7.0, 1.25, 73.4, 2)) == "7.00 (1.25 to 73.4) ms"
    assert ms_text(Estimate(100.0, 98.0, 103.0, 2)) == "100.0 +- 2.5 ms"
    assert ms_text(Estimate(100.0)) == "100.0 ms (no interval)"
    assert bytes_text(1536 * 2**20) == "1.50 GiB"
    assert bytes_text(512 * 2**20) == "512 MiB"


def test_lengths_are_told_without_exponents():
    assert [length_text(n) for n in (512, 32768, 2**20, 10**6)] == ["512", "32K", "1M", "1,000,000"]
    assert all_digits(2.0**20) == "1,048,576"
    assert all_digits(1536000.5) == "1,536,000.5"
    assert all_digits(float("inf")) == "inf"
