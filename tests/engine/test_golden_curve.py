"""A training of 50 steps is the same to the bit in every process, and to 1e-9 on every machine.

Machines differ in the last bit: other vector instructions add in another order. So the committed
curve is compared to the bit only on the make of machine that it names. `golden.py` says how to make
it anew.
"""

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from golden import FILE, ROOT, SETTINGS

from suites.settings import Settings

# Evaluation turns logits into float32 (training.evaluate).
OF_EVALUATION = 1e-6
OF_TRAINING = 1e-9


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Any]]:
    """Train in two fresh processes, side by side."""
    command = [sys.executable, str(Path(__file__).with_name("golden.py"))]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, env=here) for _ in range(2)]
    texts = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    return [json.loads(text) for text in texts]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def test_two_processes_give_the_same_bits(runs: list[dict[str, Any]]) -> None:
    one, other = runs
    assert one == other


def test_the_curve_is_the_committed_one(runs: list[dict[str, Any]], golden: dict[str, Any]) -> None:
    found = runs[0]
    assert len(found["losses"]) == len(golden["losses"]) == 50
    assert found["losses"] == pytest.approx(golden["losses"], rel=OF_TRAINING, abs=0)
    assert [step for step, _ in found["curve"]] == [20, 40, 50]
    for (_, bits), (_, expected) in zip(found["curve"], golden["curve"], strict=True):
        assert bits == pytest.approx(expected, rel=OF_EVALUATION, abs=0)
    rounds = golden["evaluated_with"]
    assert found["evaluated_with"] == pytest.approx(rounds, rel=OF_EVALUATION, abs=0)
    assert found["accuracy"] == pytest.approx(golden["accuracy"], abs=1.5 / 512)
    assert found["train_tokens"] == golden["train_tokens"] == 20 * 4 * 32 + 30 * 2 * 128


def test_the_curve_is_the_committed_one_to_the_bit_on_its_own_make_of_machine(
    runs: list[dict[str, Any]], golden: dict[str, Any]
) -> None:
    if runs[0]["make"] != golden["make"]:
        pytest.skip(f"the committed bits are of {golden['make']}, this is {runs[0]['make']}")
    assert runs[0] == golden


def test_the_golden_settings_hang_on_no_default() -> None:
    """A new setting is named there too, with the value that changes nothing."""
    assert set(SETTINGS) == {field.name for field in fields(Settings)}
