"""The command line tells a person's mistake in one sentence, with exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def bench(runs, *arguments, script=ROOT / "run_bench.py"):
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "REFORMER_RUNS": str(runs)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "hash_round", "--dry-run"], "did you mean 'hash_rounds'"),
        (["run", "--preset", "quik"], "did you mean 'quick'"),
        (["runn"], "did you mean 'run'"),
        (["run", "--where", "n_round=4"], "did you mean 'n_rounds'"),
        (["run", "--where", "n_rounds=77"], "77"),
        (["run", "--retry", "om"], "did you mean 'oom'"),
        (["run", "--timeout", "-1"], "positive"),
        (["run", "layers", "--set", "chunk_length=0"], "chunk_length is 0"),
        (["run", "layers", "--set", "dropout=nan"], "dropout must be a finite number"),
        (["run", "layers", "--set", "logit_scale=inf"], "logit_scale must be a finite number"),
        (["run", "layers", "--set", f"d_model={10**400}"], "smaller than 2^63"),
        (["run", "layers", "--set", "max_processes=1000000000000"], "from 1 to 1000"),
        (["run", "layers", "--set", "measures="], "measures is empty"),
        (["run", "layers", "--set", "measures=time,time"], "'time' is asked for twice"),
        (["run", "layers", "--set", "d_model=0"], "d_model is 0"),
        (["run", "layers", "--seeds", "99999999999999999999"], "from 1 to 1000"),
        (["run", "layers", "--run", ""], "--run: it is empty"),
        (["run", "--seeds", "0"], "seeds"),
        (["run", "--trainings", "0"], "trainings"),
        (["run", "--run", "../x"], "x"),
        (["run", "--device", "cud"], "did you mean 'cuda'"),
        (["run", "--preset", "paper", "--data", "enwik8=/nowhere"], "/nowhere"),
        (["run", "--data", "enwik9=/nowhere"], "enwik9"),
        (["run", "--device-model", "h100"], "goes with --dry-run"),
        (["run", "--dry-run", "--device-model", "h10"], "did you mean 'h100'"),
        (["status", "nothing"], "nothing"),
        (["report", "nothing"], "nothing"),
        (["compare", "a"], "two runs"),
        (["compare", "--by", "n_round"], ""),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(runs, arguments, said):
    done = bench(runs, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("run_bench.py: ")
    assert said in lines[0]


def test_an_unwritable_folder_is_a_sentence(tmp_path):
    (tmp_path / "runs").write_text("a file where the folder should be")
    done = bench(tmp_path / "runs", "run", "layers", "--where", "n_layers=1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_list_names_every_suite_without_torch():
    code = (
        "import sys, run_bench; assert run_bench.main(['list']) == 0; "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in ("sequence_length", "hash_rounds", "bucket_size", "layers"):
        assert name in done.stdout


@pytest.mark.slow
def test_run_status_report_and_compare(runs):
    script = Path(__file__).parent / "bench.py"
    done = bench(runs, "run", "tiny", "--run", "a", script=script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 ok" in done.stdout
    assert "1 skipped" in done.stdout
    assert "left: nothing" in bench(runs, "status", "a", script=script).stdout
    again = bench(runs, "run", "tiny", "--run", "a", script=script)
    assert "0 records are new" in again.stdout
    done = bench(runs, "report", "a", script=script)
    assert done.returncode == 0, done.stderr
    assert (runs / "a" / "table.csv").read_text().count("\n") >= 5
    assert list((runs / "a" / "figures").glob("*.png"))
    done = bench(runs, "compare", "--by", "length", "a", script=script)
    assert done.returncode == 0, done.stderr
    same = bench(runs, "compare", "a", "a", script=script)
    assert same.returncode == 0, same.stderr
    # what else this machine did meanwhile is no matter of this test
    assert any(verdict in same.stdout for verdict in ("same", "ambiguous", "disturbed"))
