"""bfloat16 is measured where the machine has instructions for it, and skipped elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from findings import IDENTITY
from sweeps import Measure, plan_of

from suites.engine import commands
from suites.engine.code import ROOT, code_state
from suites.engine.job import Job, Outcome, Question
from suites.engine.measure import machine, steps
from suites.engine.measure.device import CPU
from suites.engine.store.runs import RunFolder
from suites.engine.sweep import start
from suites.engine.sweep.planning import find_suites
from suites.settings import Settings

HALF = Settings(precision="bfloat16", measures=("time",), processes=1)
WHY = "this machine has no instructions for bfloat16: planted"


class Gpu:
    type = "cuda"

    def __init__(self, capability: str) -> None:
        self.capability = capability

    def describe(self) -> dict[str, str]:
        return {"capability": self.capability}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("flags\t\t: fpu avx512_bf16 amx_bf16 avx512f", "avx512_bf16 amx_bf16"),
        ("flags\t\t: fpu avx2 avx512f", ""),
        ("Features\t: fp asimd bf16 i8mm", "bf16"),
        ("Features\t: fp asimd", ""),
        ("Features\t: fp asimd ebf16", ""),
        ("", ""),
    ],
)
def test_a_processor_tells_its_instructions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, found: str
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor: 0\nbugs: bf16\n{line}\n")
    monkeypatch.setattr(machine, "CPUINFO", file)
    assert machine.identity(CPU())["bfloat16"] == found
    assert bool(found) != ("bfloat16" in machine.lacking(CPU()))


@pytest.mark.parametrize(("capability", "has"), [("7.5", False), ("8.0", True), ("10.0", True)])
def test_a_gpu_has_them_from_ampere_on(capability: str, has: bool) -> None:
    gpu: Any = Gpu(capability)
    assert bool(machine.bfloat16_instructions(gpu)) is has
    assert bool(machine.lacking(gpu)) is not has


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Let the probe answer that the machine lacks these precisions."""

    def plant(lacks: dict[str, str]) -> None:
        found = {
            "root": str(ROOT),
            "code": code_state("cpu")["hash"],
            "device": "cpu",
            "gflops": 100.0,
            "identity": IDENTITY,
            "versions": {},
            "kernel": "planted",
            "library": "",
            "lacks": lacks,
        }
        monkeypatch.setattr(start, "run_in_process", lambda *_, **__: Outcome(found))

    return plant


def test_what_the_machine_lacks_is_a_skipped_row(
    answer: Callable[[dict[str, str]], None], measure: Measure
) -> None:
    call = Settings(precision="bfloat16", subject="attention", measures=("time",), processes=1)
    usual = Settings(measures=("time",), processes=1)
    plan = plan_of([HALF, call, usual])
    answer({"bfloat16": WHY})
    start.probe_machine(plan, Question(device="cpu"))
    folder, jobs = measure(plan)
    assert {job.case_id for job in jobs} == {usual.id}
    rows = {r["case"]: (r["status"], r["reason"]) for r in folder.records()}
    assert rows == {HALF.id: ("skipped", WHY), call.id: ("skipped", WHY), usual.id: ("ok", "")}


def test_a_dry_run_shows_what_would_be_skipped(
    answer: Callable[[dict[str, str]], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer({"bfloat16": WHY})
    commands.dry_run(RunFolder(tmp_path), plan_of([HALF]), Question(device="cpu"), (), None)
    [row] = [line for line in capsys.readouterr().out.splitlines() if line.startswith(HALF.id)]
    assert row.split()[1] == "skip"
    assert row.endswith(WHY)


def test_what_the_machine_has_is_measured(
    answer: Callable[[dict[str, str]], None], measure: Measure
) -> None:
    plan = plan_of([HALF])
    answer({})
    start.probe_machine(plan, Question(device="cpu"))
    folder, _ = measure(plan)
    assert [record["status"] for record in folder.records()] == ["ok"]


@pytest.mark.parametrize("attention", ["lsh", "sdpa", "naive"])
def test_a_call_in_bfloat16_has_inputs_output_and_gradients_in_it(attention: str) -> None:
    settings = Settings(
        attention=attention,
        precision="bfloat16",
        subject="attention",
        measures=("time",),
        length=128,
        d_model=32,
        n_heads=2,
    )
    job = Job(case_id="", kind="time", index=0, seed=0, settings=settings, device="cpu")
    step = steps.build_step(job, CPU(), keep_gradients=True)
    step.run()
    assert {str(x.dtype) for x in [*step.parameters, *step.inputs]} == {"torch.bfloat16"}
    assert all(str(x.grad.dtype) == "torch.bfloat16" for x in step.parameters if x.grad is not None)
    assert all(x.grad is not None for x in step.parameters)


@pytest.mark.parametrize("suite", ["attention_speed", "attention_length", "sequence_length"])
@pytest.mark.parametrize("preset", ["quick", "cpu", "paper"])
def test_every_case_in_bfloat16_stands_beside_the_same_in_float32(suite: str, preset: str) -> None:
    cases = [case.settings for case in find_suites()[suite].cases(preset)]
    half = [s.measured() | {"precision": "float32"} for s in cases if s.precision == "bfloat16"]
    whole = [s.measured() for s in cases if s.precision == "float32"]
    assert {s["attention"] for s in half} >= {"lsh", "sdpa"}
    assert all("quality" not in s["measures"] for s in half)
    for one in (s | {"measures": ()} for s in half):
        assert one in [s | {"measures": ()} for s in whole]
