"""Runs are simulated at the noise of the committed records: same code, or slowed down in places.

The noise of attention calls in `results/reference/cpu`: within a process, by kind of case, and
between processes, what the medians of three processes vary by beyond that.
"""

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from math import pi
from pathlib import Path
from typing import Any

import numpy as np

from report.reading.cases import load_run, samples_of
from report.reading.gathering import noise_kind
from report.statistics.estimates import student_t
from report.statistics.samples import Processes, log_medians
from suites.engine.store.records import Record

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "cpu"
SUITES = {"attention_length", "attention_speed"}
N_SAMPLES, MIN_PROCESSES = 5, 3


@dataclass(frozen=True)
class CaseNoise:
    """A case has a record to imitate, a median in ms, and two standard deviations of logs.

    n_samples: as many as its committed processes took, at least 5.
    """

    record: Record
    middle: float
    between: float
    within: float
    n_samples: int


@cache
def committed_cases() -> tuple[CaseNoise, ...]:
    """Return the timed cases with the noise of their kind."""
    records = [
        record
        for record in load_run(REFERENCE)
        if SUITES & {*record["suites"]} and samples_of(record, "step")
    ]
    kinds: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        kinds[noise_kind(record)].append(record)
    found = []
    for members in kinds.values():
        within = _within(members)
        total = sampling = 0.0
        for record in members:
            processes = samples_of(record, "step")
            total += float(log_medians(processes).var(ddof=1))
            sampling += float(np.mean([_median_variance(within, len(p)) for p in processes]))
        between = max(total - sampling, 0.0) / len(members)
        for record in members:
            middle = float(np.exp(log_medians(samples_of(record, "step")).mean()))
            n_samples = max(N_SAMPLES, min(map(len, samples_of(record, "step"))))
            found.append(CaseNoise(record, middle, between**0.5, within, n_samples))
    return tuple(found)


def _within(records: list[Record]) -> float:
    """Return the standard deviation of logs inside the processes."""
    squares = df = 0.0
    for record in records:
        for samples in samples_of(record, "step"):
            squares += float(np.var(np.log(samples)) * len(samples))
            df += len(samples) - 1
    return float((squares / df) ** 0.5)


def _median_variance(within: float, n: int) -> float:
    return within**2 * (pi / 2 / n if n > 1 else 1.0)


def simulated_run(
    rng: np.random.Generator,
    bar: float,
    most: int,
    slower: Collection[int] = (),
    factor: float = 1.1,
    scale: float = 1.0,
) -> list[Record]:
    """Draw a run of all committed cases as the sampling rule measures it.

    Three processes of at least five samples each, and more until Student's interval is within `bar`
    or there are `most`; cases at the indices `slower` take `factor` times as long. The noise is
    `scale` times the committed one.
    """
    records = []
    for i, case in enumerate(committed_cases()):
        middle = case.middle * (factor if i in slower else 1.0)
        between, within = scale * case.between, scale * case.within
        processes: list[list[float]] = []
        while len(processes) < MIN_PROCESSES or (len(processes) < most and reach(processes) > bar):
            level = rng.normal(0, between)
            samples = middle * np.exp(level + rng.normal(0, within, case.n_samples))
            processes.append([float(ms) for ms in samples])
        time = {"processes": [{"samples_ms": {"step": p}, "disturbed": False} for p in processes]}
        record = {**case.record, "time": time, "memory": None, "quality": None}
        records.append(json.loads(json.dumps(record)))
    return records


def reach(processes: Processes) -> float:
    """Return half of Student's interval over the log medians of the processes."""
    logs = log_medians(processes)
    return student_t(len(logs) - 1) * float(np.std(logs, ddof=1)) / len(logs) ** 0.5
