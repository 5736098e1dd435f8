"""The ruler tests itself: work of known cost is measured right, and a wrong ruler is caught."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fake_time import FakeDevice, FakeTime, Work
from planted import HEALTHY, settings_for
from quiet import quiet_tries
from sweeps import Quiet, plan_of

from report.compare.runs import compare_runs
from report.statistics.intervals import ratio_of_medians
from suites.engine.failures import Failure
from suites.engine.job import Outcome
from suites.engine.measure import ruler
from suites.engine.measure.device import CUDA
from suites.engine.measure.memory import LivePeak
from suites.engine.store.records import Record
from suites.engine.store.runs import RunFolder
from suites.engine.sweep import doctor
from suites.engine.sweep.backlog import Backlog
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
# What compares two pieces of work needs a quiet moment. The others are right at any load: the spin
# counts what interrupts it as its own, and memory is no matter of time.
NEED_QUIET = CHECKS[-2:]
TRIES = 6

Found = dict[str, tuple[str, bool]]


def check_in_process(log: Path) -> Found:
    """Return by check what the ruler finds in a process of its own, as `doctor` runs it."""
    outcome = run_in_process(doctor.RULER, None, log=log)
    assert outcome.failure is None, outcome.failure
    return {what: (text, passed) for what, text, passed in outcome.result["checks"]}


def test_work_of_known_cost_is_measured_right_at_any_load(tmp_path: Path) -> None:
    found = check_in_process(tmp_path / "log.txt")
    assert set(found) == set(CHECKS)
    for what in set(CHECKS) - set(NEED_QUIET):
        assert found[what][1], f"{what}: {found[what][0]}"


@pytest.mark.slow
@pytest.mark.parametrize("what", NEED_QUIET)
def test_work_is_compared_right_on_a_quiet_machine(tmp_path: Path, what: str) -> None:
    """Only real work on a real machine shows it: the fake clock below knows no caches and turbo."""
    for _ in quiet_tries(TRIES):
        found = check_in_process(tmp_path / "log.txt")
        if found[what][1]:
            break
    assert found[what][1], f"{what}: {found[what][0]}"


def with_interruptions(fake_time: FakeTime) -> None:
    """Hold up whoever looks at the clock now and then, for up to 7 ms, as a busy machine does."""
    chance = random.Random(0)
    fake_time.interruption = lambda: chance.uniform(0, 7) if chance.random() < 2e-4 else 0.0


@pytest.mark.parametrize(
    ("factor", "is_right"),
    [(0.97, False), (0.99, True), (1.0, True), (1.01, True), (1.03, False), (1.05, False)],
)
@pytest.mark.parametrize("is_interrupted", [False, True])
def test_a_ruler_that_reads_some_percent_wrong_is_caught(
    fake_time: FakeTime,
    monkeypatch: pytest.MonkeyPatch,
    factor: float,
    is_right: bool,
    is_interrupted: bool,
) -> None:
    """One that is off by less passes, be the spin interrupted or not."""
    monkeypatch.setattr(ruler, "CPU", lambda: FakeDevice(fake_time, factor))
    if is_interrupted:
        with_interruptions(fake_time)
    _, text, passed = ruler.check_spin()
    assert passed is is_right, text


def test_a_ruler_that_misses_memory_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LivePeak, "_count", lambda self, tensor: None)
    assert not all(passed for *_, passed in ruler.check_allocation())


def test_a_slow_down_that_is_not_seen_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ruler, "ratio_of", lambda first, second: 1.0)
    assert not ruler.check_slow_down()[2]
    monkeypatch.setattr(ruler, "ratio_of", lambda first, second: 1.05)
    assert ruler.check_slow_down()[2]
    assert not ruler.check_pair()[2]


@pytest.mark.parametrize("planted_ratio", [1.0, 1.05, 1.1])
def test_a_planted_slow_down_is_found_though_the_machine_drifts(
    fake_time: FakeTime, planted_ratio: float
) -> None:
    """The machine gets slower by half in a second: interleaving makes that fall on both alike."""

    def work(ms: float) -> Callable[[], None]:
        return lambda: fake_time.pass_ms(ms * (1 + 0.5 * fake_time.monotonic()))

    ratio = ruler.ratio_of(work(3.0), work(3.0 * planted_ratio))
    assert fake_time.monotonic() > 0.3, "what drifts has time to"
    assert ratio == pytest.approx(planted_ratio, rel=0.02)


@pytest.mark.parametrize("planted_ratio", [1.0, 1.05])
def test_a_planted_slow_down_is_found_beside_a_neighbour_on_the_hardware(
    fake_time: FakeTime, planted_ratio: float
) -> None:
    """Work takes half as long again in 0.2 of each 0.5 s, as where the hardware is shared."""

    def work(ms: float) -> Callable[[], None]:
        return lambda: fake_time.pass_ms(ms * (1.5 if fake_time.monotonic() % 0.5 < 0.2 else 1))

    ratio = ruler.ratio_of(work(3.0), work(3.0 * planted_ratio))
    assert fake_time.monotonic() > 1, "the neighbour comes and goes"
    assert ratio == pytest.approx(planted_ratio, rel=0.005)


def test_the_check_of_a_slow_down_passes_on_spins_that_keep_time(fake_time: FakeTime) -> None:
    what, text, passed = ruler.check_slow_down()
    assert passed, text
    assert what == "planted slow-down of 5 %"


@pytest.mark.parametrize(("scatter", "n_same"), [(0.005, 14), (0.04, 0)])
def test_repeated_measurements_of_the_same_work_are_no_difference(
    fake_time: FakeTime, scatter: float, n_same: int
) -> None:
    """Of 20 comparisons at least `n_same` are same, and at most one is faster or slower.

    Planted are samples that scatter by 1 % around a level of their process, and levels that
    scatter by 0.5 %, as on a quiet machine, or by 4 %, where only "ambiguous" is honest.
    """
    noise = random.Random(0)

    def process(ms: float = 1.0) -> list[float]:
        level = noise.gauss(ms, scatter * ms)
        work = Work(fake_time, [noise.gauss(level, 0.01 * level) for _ in range(400)])
        return ruler.time_of(work, budget_s=0.23)

    groups = [[process() for _ in range(3)] for _ in range(40)]
    verdicts = [ratio_of_medians(groups[2 * i], groups[2 * i + 1]).verdict for i in range(20)]
    assert verdicts.count("same") >= n_same, verdicts
    assert verdicts.count("faster") + verdicts.count("slower") <= 1, verdicts
    if n_same:
        slow = [process(1.1) for _ in range(3)]
        assert ratio_of_medians(slow, groups[1]).verdict == "slower"


@pytest.mark.slow
def test_whole_runs_compare_as_planted(tmp_path: Path) -> None:
    """Of 20 cases, measured twice, at least 14 are same and at most one is faster or slower.

    They run in real processes, on a machine that must be quiet: where that is not found, all is
    measured again. A run that is planted 10 % slower is found, case by case.
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

    for i in quiet_tries(TRIES):
        first, again = run(f"first {i}", cases), run(f"again {i}", cases)
        slower = run(f"slow {i}", cases[:8], "time_slower_spin")
        counts = Counter(compare_runs(first, again).table["verdict"])
        slow = compare_runs(first, slower)
        is_same = counts["same"] >= 14 and counts["faster"] + counts["slower"] <= 1
        is_slower = list(slow.table["verdict"]) == ["slower"] * 8
        is_close = slow.table["time_ratio"].between(1.08, 1.12).all()
        if is_same and is_slower and is_close:
            break
    assert is_same, counts
    assert is_slower, slow.table["verdict"]
    assert is_close, slow.table["time_ratio"]
    assert slow.exit_code == 1


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


@pytest.mark.parametrize(
    ("seconds", "said", "passed"),
    [
        ([2.0, 0.29, 0.5], "0.290 s (at most 0.3 s)", True),
        ([2.0, 0.31, 0.5], "0.310 s (at most 0.3 s)", False),
    ],
)
def test_doctor_takes_the_best_of_three_starts_of_a_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: list[float], said: str, passed: bool
) -> None:
    """The first may start the fork server, and others may hold up the rest."""
    outcomes = iter([Outcome(wall_s=one) for one in seconds])
    monkeypatch.setattr(doctor, "run_in_process", lambda *_, **__: next(outcomes))
    assert list(doctor.start_checks(tmp_path / "log.txt")) == [("start of a process", said, passed)]
    assert list(outcomes) == []


@pytest.mark.slow
def test_a_process_starts_quickly_on_a_quiet_machine(tmp_path: Path) -> None:
    for _ in quiet_tries(TRIES):
        ((_, found, passed),) = doctor.start_checks(tmp_path / "log.txt")
        if passed:
            break
    assert passed, found


def test_the_log_of_a_process_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    outcome = run_in_process("planted:write", "a word", log=log)
    assert outcome.failure is None
    assert "a word" in log.read_text()
