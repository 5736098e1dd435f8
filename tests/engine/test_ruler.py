"""The ruler tests itself: work of known cost is measured right, and a wrong ruler is caught."""

import gc
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
import torch
from planted import HEALTHY, settings_for
from sweeps import Quiet, plan_of

from report.compare.runs import compare_runs
from report.statistics.intervals import ratio_of_medians
from suites.engine.failures import Failure
from suites.engine.job import Outcome
from suites.engine.measure import ruler
from suites.engine.measure.device import CPU, CUDA
from suites.engine.measure.memory import LivePeak
from suites.engine.store.records import Record
from suites.engine.store.runs import RunFolder
from suites.engine.sweep import doctor
from suites.engine.sweep.backlog import Backlog
from suites.engine.sweep.doctor import MAX_START_S, start_checks
from suites.engine.sweep.executors.local import Local, run_in_process
from suites.engine.sweep.scheduler import Sweep
from suites.settings import Settings

CHECKS = (
    "spin of 20 ms",
    "allocation of 64 MiB, vmhwm",
    "allocation of 64 MiB, live tensors",
    "spike of 61 MiB for 5 ms, vmhwm",
    "spike of 61 MiB for 5 ms, live tensors",
    "planted slow-down of 5 %",
    "identical pair",
)
# What compares two pieces of work needs a quiet moment; the others are exact at any load.
NEED_QUIET = CHECKS[-2:]
CHANCES = 4

Found = dict[str, list[tuple[str, bool]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """By check, what the ruler found in processes of its own, as `doctor` runs it; again while
    others are in its way.
    """
    log = tmp_path_factory.mktemp("ruler") / "log.txt"
    found: Found = {}
    for _ in range(CHANCES):
        outcome = run_in_process(
            "suites.engine.measure.ruler:check_ruler", None, log=log, timeout_s=60
        )
        assert outcome.failure is None, outcome.failure
        for what, text, passed in outcome.result["checks"]:
            found.setdefault(what, []).append((text, passed))
        if all(any(passed for _, passed in found[what]) for what in NEED_QUIET):
            break
    return found


def test_every_check_is_made(found: Found) -> None:
    assert set(found) == set(CHECKS)


@pytest.mark.parametrize("what", CHECKS)
def test_work_of_known_cost_is_measured_right(found: Found, what: str) -> None:
    passes = [passed for _, passed in found[what]]
    assert any(passes) if what in NEED_QUIET else all(passes), found[what]


@pytest.mark.parametrize("factor", [0.97, 1.03, 1.05])
def test_a_ruler_that_reads_some_percent_wrong_is_caught(
    monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    right = CPU.elapsed_ms
    monkeypatch.setattr(CPU, "elapsed_ms", lambda self, m: [factor * ms for ms in right(self, m)])
    assert not ruler.check_spin()[2]


def test_a_ruler_that_misses_memory_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LivePeak, "_count", lambda self, tensor: None)
    assert not all(passed for *_, passed in ruler.check_allocation())


def test_a_slow_down_that_is_not_seen_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ruler, "ratio_of", lambda first, second: 1.0)
    assert not ruler.check_slow_down()[2]
    monkeypatch.setattr(ruler, "ratio_of", lambda first, second: 1.05)
    assert ruler.check_slow_down()[2]
    assert not ruler.check_pair()[2]


def test_a_planted_slow_down_is_found_by_the_ratio() -> None:
    spins = ruler.Spin(3.0), ruler.Spin(3.3)
    ratio = ruler.ratio_of(*spins, rounds=3)
    truth = median(spins[1].truth_ms) / median(spins[0].truth_ms)
    assert ratio == pytest.approx(truth, rel=0.02)


@pytest.fixture
def nothing_to_collect() -> Iterator[None]:
    """Each measurement collects garbage first, which takes 0.2 s among all that tests import."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.slow
def test_whole_runs_compare_as_planted(tmp_path: Path) -> None:
    """20 cases in real processes, measured twice: at least 14 same, at most one faster or slower,
    the rest ambiguous. A run that is planted 10 % slower is found, case by case.
    """
    cases = [
        settings_for(HEALTHY, length=64 * (i + 1), measures=("time",), time_budget_s=0.05)
        for i in range(20)
    ]

    def run(name: str, settings: list[Settings], job: str = "time_spin") -> list[Record]:
        folder, plan = RunFolder(tmp_path / name), plan_of(settings)
        executor = Local("cpu", folder.log_path, run_job=f"planted:{job}")
        with folder.locked():
            Sweep(Backlog(folder, plan), executor).run(Quiet())
        return folder.records()

    first, again = run("first", cases), run("again", cases)
    found = compare_runs(first, again)
    verdicts = list(found.table["verdict"])
    assert verdicts.count("same") >= 14, verdicts
    assert verdicts.count("faster") + verdicts.count("slower") <= 1, verdicts
    slow = compare_runs(first, run("slow", cases[:8], "time_slower_spin"))
    assert list(slow.table["verdict"]) == ["slower"] * 8
    assert slow.table["time_ratio"].between(1.08, 1.12).all()
    assert slow.exit_code == 1


@pytest.mark.usefixtures("nothing_to_collect")
def test_twenty_identical_comparisons_are_same() -> None:
    """The verdicts over repeated measuring: at least 14 same, at most one faster or slower."""
    work = ruler.Spin(1.0)

    def process() -> list[float]:
        return ruler.time_of(work, budget_s=0.03)

    groups = [[process() for _ in range(3)] for _ in range(40)]
    verdicts = [ratio_of_medians(groups[2 * i], groups[2 * i + 1]).verdict for i in range(20)]
    assert verdicts.count("same") >= 14, verdicts
    assert verdicts.count("faster") + verdicts.count("slower") <= 1, verdicts
    slow = [[1.10 * ms for ms in samples] for samples in groups[0]]
    assert ratio_of_medians(slow, groups[1]).verdict == "slower"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_ruler_for_cuda() -> None:
    for what, text, passed in (ruler.check_events(), *ruler.check_allocation(CUDA())):
        assert passed, f"{what}: {text}"


def test_doctor_says_why_a_machine_cannot_be_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for outcome, said in (
        (Outcome(failure=Failure("crash", "no driver")), "no driver"),
        (Outcome(result={"refusal": "no device"}), "no device"),
    ):
        monkeypatch.setattr(doctor, "run_in_process", lambda *_, outcome=outcome, **__: outcome)
        assert list(doctor.machine_checks(tmp_path / "log.txt")) == [("device", said, False)]


def test_a_process_starts_quickly(tmp_path: Path) -> None:
    ((_, found, passed),) = start_checks(tmp_path / "log.txt")
    assert passed, f"{found}, bound {MAX_START_S}"


def test_the_log_of_a_process_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    outcome = run_in_process("planted:write_and_wait", 0.0, log=log)
    assert outcome.failure is None
    assert "waiting" in log.read_text()
