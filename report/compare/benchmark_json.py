"""Two JSON files of pytest-benchmark are compared as two runs are: each is read as records.

A file holds one process, which does not tell how processes differ (memory layout, clocks, what else
the machine did). Two things stand in for that: how blocks of samples differ within each process,
and how the ratios of all benchmarks differ from their median, which is noise where a change sped up
or slowed down less than half of them, or all alike.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any, cast

import numpy as np

from report.compare.runs import RunComparison, compare_runs
from report.reading.cases import samples_of
from report.statistics.estimates import BAND
from report.statistics.noise import MIN_CASES_FOR_NOISE, Noise
from report.statistics.samples import Array, log_medians
from suites.engine.store.records import FORMAT, Record

# pytest-benchmark takes at least as many samples.
N_BLOCKS = 5
# Of the blocks of one file; the ratios of more benchmarks are not counted as telling more.
NOISE_DF = N_BLOCKS - 1
# A median absolute deviation times this is the standard deviation, if normal.
MAD_TO_SD = 1.4826
ONE_PROCESS = (
    "One process each: a change of the whole machine between them looks like a change of the code. "
    "Measure both again before believing it."
)
REMEDY = "write it with --benchmark-json=FILE, or with --benchmark-save and --benchmark-save-data"


def is_benchmark_json(name: str) -> bool:
    """Return whether this argument of `compare` is a file, not the name of a run."""
    return name.endswith(".json")


def compare_benchmarks(
    before: Path, after: Path, mixed: bool = False, band: float = BAND
) -> RunComparison:
    """Compare the benchmarks of two files that have the same full name and parameters.

    Ratios are `after` over `before`. Raises ValueError if a file is not of pytest-benchmark or has
    no raw samples, if no benchmark is in both, and, unless `mixed`, if they are of different
    machines.
    """
    olds, news = ({r["case"]: r for r in read_benchmarks(path)} for path in (before, after))
    common = [case for case in olds if case in news]
    if not common:
        raise ValueError(
            f"{before} and {after} have no benchmark in common "
            f"({len(olds)} and {len(news)} benchmarks)"
        )
    noise = noise_of([(olds[case], news[case]) for case in common])
    found = compare_runs([*olds.values()], [*news.values()], mixed, noise, band)
    return replace(found, notes=(*found.notes, ONE_PROCESS))


def noise_of(pairs: Sequence[tuple[Record, Record]]) -> dict[str, Noise]:
    """Estimate the noise between processes of each case from its blocks and from all ratios.

    The larger of the two counts. Cases of which neither tells anything are missing.
    """
    samples = [(samples_of(old, "step")[0], samples_of(new, "step")[0]) for old, new in pairs]
    ratios = np.array([np.diff(log_medians(both))[0] for both in samples])
    between = 0.0
    if len(ratios) >= MIN_CASES_FOR_NOISE:
        # half the variance of a ratio is that of one process
        between = (MAD_TO_SD * float(np.median(abs(ratios - np.median(ratios))))) ** 2 / 2
    found = {}
    for (old, _), both in zip(pairs, samples, strict=True):
        levels = [log_medians(blocks(one)) for one in both]
        inside = [float(level.var(ddof=1)) / len(level) for level in levels if len(level) > 1]
        variance = max([between, *inside])
        if variance > 0:
            found[old["case"]] = Noise(variance, NOISE_DF)
    return found


def read_benchmarks(path: Path) -> list[Record]:
    """Read a file of pytest-benchmark as records: times in ms, the machine as identity.

    Raises ValueError if it is not such a file or has no raw samples.
    """
    content = read_json(path)
    try:
        identity = identity_of(content["machine_info"])
        return [as_record(benchmark, identity, path) for benchmark in content["benchmarks"]]
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path} is not what pytest-benchmark writes ({error!r})") from None


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a file of pytest-benchmark, or raise ValueError if it is none."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON as pytest-benchmark writes it: {error}") from None
    known = isinstance(content, dict) and isinstance(content.get("benchmarks"), list)
    if not known or not isinstance(content.get("machine_info"), dict):
        raise ValueError(f"{path} is not JSON of pytest-benchmark: no machine_info and benchmarks")
    if not content["benchmarks"]:
        raise ValueError(f"{path} holds no benchmarks")
    return content


def identity_of(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must agree between two files that are compared.

    The last three entries are there where tests/benchmarks wrote the file.
    """
    cpu = machine.get("cpu") or {}
    python = f"{machine.get('python_implementation')} {machine.get('python_version')}"
    return {
        "node": machine.get("node"),
        "machine": cpu.get("brand_raw") or machine.get("processor") or machine.get("machine"),
        "python": python,
        **{name: machine.get(name) for name in ("torch", "threads", "capability")},
    }


def as_record(benchmark: Mapping[str, Any], identity: dict[str, Any], path: Path) -> Record:
    """Return one benchmark as a record that holds its time and nothing else.

    Raises ValueError without raw samples, or if they are no durations.
    """
    name, samples_s = benchmark["fullname"], benchmark["stats"].get("data")
    if not samples_s:
        raise ValueError(f"{path} has no raw samples of {name}; {REMEDY}")
    if not all(isfinite(seconds) and seconds > 0 for seconds in samples_s):
        raise ValueError(f"{path} has samples of {name} that are no durations")
    process = {"samples_ms": {"step": [1e3 * seconds for seconds in samples_s]}}
    record = {
        "format": FORMAT,
        "method": "pytest-benchmark",
        "case": json.dumps([name, benchmark.get("params")], sort_keys=True),
        "label": name,
        "seed": 0,
        "settings": {},
        "status": "ok",
        "identity": identity,
        "time": {"processes": [process]},
    }
    return cast(Record, record)


def blocks(samples: Sequence[float] | Array) -> list[Sequence[float] | Array]:
    """Cut samples into at most N_BLOCKS runs of consecutive ones."""
    n = min(N_BLOCKS, len(samples))
    edges = [len(samples) * i // n for i in range(n + 1)]
    return [samples[start:end] for start, end in pairwise(edges)]
