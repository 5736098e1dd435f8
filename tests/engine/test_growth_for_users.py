"""A user's own text, attention and sizes are measured, reported and compared by three commands."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from suites.engine.store.records import read_records

ROOT = Path(__file__).resolve().parents[2]
ATTENTION = '''
import torch

def window(q, k, v, scale, exclude_self):
    """Causal attention to the last 16 positions."""
    length = q.shape[-2]
    i, j = torch.arange(length).unsqueeze(-1), torch.arange(length)
    seen = (j <= i) & (j > i - 16)
    logits = (q * scale @ k.transpose(-1, -2)).masked_fill(~seen, -torch.inf)
    return logits.softmax(dim=-1) @ v

number = 3
'''


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    """run_bench.py called by its path from the user's own folder, with runs in that folder."""
    (tmp_path / "mine.py").write_text(ATTENTION)

    def call(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(ROOT / "run_bench.py"), *words],
            cwd=tmp_path,
            env={**os.environ, "REFORMER_RUNS": str(tmp_path / "runs")},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def succeed(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_own_attention_and_width_beside_ours(bench: Any, tmp_path: Path) -> None:
    chosen = ("run", "sequence_length", "--run", "mine", "--where", "length=256")
    succeed(bench(*chosen, "attention=lsh", "--set", "d_model=32"))
    out = succeed(bench(*chosen, "--set", "d_model=32", "attention=mine:window"))
    assert "mine:window, length 256, 2 layers" in out
    assert "width 32" in out
    records = read_records(tmp_path / "runs/mine/records.jsonl")
    own = [r for r in records if r["settings"]["attention"] == "mine:window"]
    assert own
    assert all(record["status"] == "ok" for record in records)
    assert all(record["settings"]["d_model"] == 32 for record in records)
    assert all(len(record["versions"]["mine:window"]) == 12 for record in own)
    succeed(bench("report", "mine"))
    page = (tmp_path / "runs/mine/index.html").read_text()
    assert "mine:window" in page
    out = succeed(bench("compare", "--by", "attention", "mine"))
    assert "mine:window" in out

    (tmp_path / "mine.py").write_text(ATTENTION.replace("i - 16", "i - 8"))
    before = len(records)
    again = succeed(bench(*chosen, "--set", "d_model=32", "attention=mine:window"))
    assert f"{len(own)} records are new" in again, "an edited attention is measured again"
    assert len(read_records(tmp_path / "runs/mine/records.jsonl")) == before
    succeed(bench("report", "mine"))


@pytest.mark.slow
def test_own_text(bench: Any, tmp_path: Path) -> None:
    words = " ".join(f"word{i * i % 97}" for i in range(4000))
    (tmp_path / "novel.txt").write_text(words)
    chosen = ("run", "hash_rounds", "--where", "n_rounds=2", "--data", "text=novel.txt")
    assert "text" in succeed(bench(*chosen, "--run", "novel", "--dry-run"))
    succeed(bench(*chosen, "--run", "novel"))
    (record,) = read_records(tmp_path / "runs/novel/records.jsonl")
    assert record["settings"]["task"] == "text"
    assert record["quality"]
    data = record["quality"]["data"]
    assert (data["source"], data["bytes"]) == ("novel.txt", len(words))
    assert data["sha256"].startswith(record["versions"]["text"])
    assert "text" in succeed(bench("report", "novel"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "attention=mine:widow"), "has no attribute 'widow'"),
        (("--set", "attention=nowhere.to:find"), "No module named 'nowhere'"),
        (("--set", "attention=mine:number"), "attention 'mine:number' is no function"),
        (("--set", "task=mine:load"), "task 'mine:load' cannot be imported"),
        (("--data", "text=nowhere.txt"), "cannot read the text in"),
        (("--data", "text=mine.py"), "does not fit"),
        (("--set", "task=text"), "task 'text' needs a file"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(bench: Any, words: tuple[str, ...], said: str) -> None:
    done = bench("run", "layers", "--where", "n_layers=1", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert said in line


def test_a_dry_run_of_the_papers_preset_needs_no_data(bench: Any) -> None:
    out = succeed(bench("run", "layers", "--preset", "paper", "--dry-run"))
    assert "task 'enwik8' needs its data: --data enwik8=PATH" in out
    assert "LSH-4, bucket 64, chunk 128, length 65536, 24 layers" in out


def test_what_is_only_timed_may_be_longer_than_the_held_out_text(bench: Any) -> None:
    out = succeed(bench("run", "million", "--preset", "cpu", "--dry-run"))
    assert "length 1048576" in out
