"""Files that pytest-benchmark wrote are compared with copies that hold planted changes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import run_bench
from report.compare.benchmark_json import compare_benchmarks

N_BENCHMARKS = 8
BENCHMARKS = f"""
import time
import pytest

@pytest.mark.parametrize("n", range({N_BENCHMARKS}))
def test_spin(benchmark, n):
    def spin():
        end = time.perf_counter() + 5e-4
        while time.perf_counter() < end:
            pass
    benchmark(spin)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run pytest-benchmark: it writes a.json with raw samples, and saved/*.json without.

    Its samples are replaced by drawn ones: on a busy machine real ones scatter as they like.
    """
    folder = tmp_path_factory.mktemp("benchmarks")
    (folder / "test_spin.py").write_text(BENCHMARKS)
    options = ["--benchmark-json=a.json", "--benchmark-storage=file://saved", "--benchmark-save=x"]
    options += ["--benchmark-max-time=0.05", "-p", "no:cacheprovider", "--rootdir=."]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_spin.py"],
        cwd=folder,
        # a process of pytest-xdist runs no benchmarks
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((folder / "a.json").read_text())
    chance = np.random.default_rng(0)
    for benchmark in content["benchmarks"]:
        assert all(5e-4 <= seconds < 60 for seconds in benchmark["stats"]["data"])
        benchmark["stats"]["data"] = (5e-4 * chance.lognormal(0, 0.01, 100)).tolist()
    (folder / "a.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    """Return copy(change), which applies `change` to the content of a.json in another file."""

    def write(change=lambda content: None, name="b.json"):
        content = json.loads((folder / "a.json").read_text())
        change(content)
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path / name

    return write


def slower(factor, first=0, last=N_BENCHMARKS):
    def change(content):
        for benchmark in content["benchmarks"][first:last]:
            data = benchmark["stats"]["data"]
            benchmark["stats"]["data"] = [factor * seconds for seconds in data]

    return change


def compare(*arguments):
    return run_bench.main(["compare", *map(str, arguments)])


def test_a_file_is_the_same_as_itself(folder, capsys):
    assert compare(folder / "a.json", folder / "a.json") == 0
    out = capsys.readouterr().out
    assert f"{N_BENCHMARKS} same" in out
    assert "test_spin.py::test_spin[0]" in out
    assert "visible from" in out
    assert "memory" not in out


def test_a_planted_slow_down_of_10_percent_is_slower(folder, copy, capsys):
    planted = copy(slower(1.1))
    assert compare(folder / "a.json", planted) == 1
    assert f"{N_BENCHMARKS} slower" in capsys.readouterr().out
    table = compare_benchmarks(folder / "a.json", planted).table
    assert table["time_ratio"].to_list() == pytest.approx([1.1] * N_BENCHMARKS)
    assert ((table["time_ratio_low"] < 1.1) & (1.1 < table["time_ratio_high"])).all()
    assert compare(planted, folder / "a.json") == 0
    assert f"{N_BENCHMARKS} faster" in capsys.readouterr().out


def test_one_slow_benchmark_is_told_from_the_rest(folder, copy):
    found = compare_benchmarks(folder / "a.json", copy(slower(1.1, 2, 3)))
    assert found.exit_code == 1
    verdicts = found.table["verdict"].to_list()
    assert verdicts.pop(2) == "slower"
    assert set(verdicts) == {"same"}


def test_what_all_ratios_scatter_by_is_noise(folder, copy):
    """Where half are 20 % slower and half 20 % faster, it is the machine, not the code."""

    def scatter(content):
        slower(1.2, 0, N_BENCHMARKS // 2)(content)
        slower(1 / 1.2, N_BENCHMARKS // 2)(content)

    found = compare_benchmarks(folder / "a.json", copy(scatter))
    assert set(found.table["verdict"]) == {"ambiguous"}
    assert (found.table["smallest_visible"] > 0.2).all()
    assert "One process each" in found.markdown()


def test_few_samples_are_ambiguous(copy):
    def keep_one(content):
        content["benchmarks"] = content["benchmarks"][:3]
        for benchmark in content["benchmarks"]:
            benchmark["stats"]["data"] = benchmark["stats"]["data"][:1]

    one = copy(keep_one)
    assert set(compare_benchmarks(one, one).table["verdict"]) == {"ambiguous"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["machine_info"].update(node="other"), "node: "),
        (lambda c: c["machine_info"]["cpu"].update(brand_raw="other"), "machine: "),
        (lambda c: c["machine_info"].update(python_version="3.0"), "python: "),
        (lambda c: c["machine_info"].update(threads=64), "threads: None and 64"),
    ],
)
def test_another_machine_is_refused_unless_mixed(folder, copy, capsys, change, said):
    other = copy(change)
    assert compare(folder / "a.json", other) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "--mixed" in error
    assert compare(folder / "a.json", other, "--mixed") == 0
    assert "MIXED" in capsys.readouterr().out


def test_benchmarks_match_by_name_and_parameters(folder, copy):
    def change(content):
        content["benchmarks"][0]["fullname"] += "x"
        content["benchmarks"][1]["params"] = {"n": 77}

    found = compare_benchmarks(folder / "a.json", copy(change))
    assert len(found.table) == N_BENCHMARKS - 2
    assert "2 cases only in the first, 2 cases only in the second" in found.markdown()


def rename(content):
    for benchmark in content["benchmarks"]:
        benchmark["fullname"] += "x"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rename, "no benchmark in common"),
        (lambda c: c.update(benchmarks=[]), "holds no benchmarks"),
        (lambda c: c.pop("benchmarks"), "not JSON of pytest-benchmark"),
        (lambda c: c.pop("machine_info"), "not JSON of pytest-benchmark"),
        (lambda c: c["benchmarks"][0].pop("stats"), "not what pytest-benchmark writes"),
        (lambda c: c["benchmarks"].append(3), "not what pytest-benchmark writes"),
        (lambda c: c["benchmarks"][0]["stats"].pop("data"), "no raw samples of test_spin.py"),
        (slower(0.0), "no durations"),
    ],
)
def test_a_wrong_file_is_one_sentence_and_exit_code_2(folder, copy, capsys, change, said):
    assert compare(folder / "a.json", copy(change)) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_a_file_saved_without_data_says_what_to_do(folder, capsys):
    (saved,) = folder.glob("saved/*/*.json")
    assert compare(folder / "a.json", saved) == 2
    assert "--benchmark-save-data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"), [("", "not JSON"), ("\udcff", "not JSON"), (None, "there is no file")]
)
def test_no_json_and_no_file(folder, tmp_path, capsys, text, said):
    path = tmp_path / "c.json"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    assert compare(path, folder / "a.json") == 2
    assert said in capsys.readouterr().err


def test_a_run_and_a_file_do_not_compare(folder, capsys):
    assert compare("quick", folder / "a.json") == 2
    assert "not one of each" in capsys.readouterr().err
