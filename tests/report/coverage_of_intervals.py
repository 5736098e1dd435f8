"""Of how many simulated intervals of 95 % is the truth inside? Run it to print the table.

    PYTHONPATH=. python tests/report/coverage_of_intervals.py

Levels of processes are lognormal; inside a process samples have a long tail to the right. Noise is
equal, or ten times as large on one side, or grows tenfold with the length.
"""

import math
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from committed_noise import reach, simulated_run

from report.compare.runs import compare_runs
from report.statistics.estimates import Estimate
from report.statistics.intervals import estimate_geometric_mean, ratio_of_medians
from report.statistics.noise import process_noise
from report.statistics.samples import Processes
from report.statistics.scaling import crossover, scaling
from report.statistics.seeds import paired_difference

PROCESSES = (3, 4, 5, 7, 10)
N_DRAWS = 3000
LENGTHS = [512, 1024, 2048, 4096, 8192]
EXPONENTS = 1.1, 1.8
CROSSING = 512 * 5 ** (1 / (EXPONENTS[1] - EXPONENTS[0]))
TRUE, QUIET, USUAL, LOUD, N_SAMPLES = 100.0, 0.01, 0.07, 0.1, 9
EQUAL = [0.03] * len(LENGTHS)
GROWING = list(np.geomspace(QUIET, LOUD, len(LENGTHS)))
Rng = np.random.Generator


def draw(rng: Rng, k: int, noise: float, middle: float = TRUE) -> Processes:
    """Draw k processes whose levels vary by `noise` on logs, with 9 samples each."""
    inside = 0.5 * noise * (rng.exponential(size=(k, N_SAMPLES)) - math.log(2))
    levels = rng.normal(0, noise, k)
    return [middle * np.exp(level + own) for level, own in zip(levels, inside, strict=True)]


def median(rng: Rng, k: int) -> list[bool]:
    """Try the interval of one case."""
    return [_holds(estimate_geometric_mean(draw(rng, k, LOUD)), TRUE)]


def ratio(noise: tuple[float, float]) -> Callable[[Rng, int], list[bool]]:
    """Return a trial of a ratio of two times with so much noise on its sides."""

    def trial(rng: Rng, k: int) -> list[bool]:
        return [_holds(ratio_of_medians(*(draw(rng, k, one) for one in noise)), 1.0)]

    return trial


def of_a_kind(unlike: float) -> Callable[[Rng, int], list[bool]]:
    """Return a trial of 12 ratios, noise pooled within their kind; it varies by exp(unlike)."""

    def trial(rng: Rng, k: int) -> list[bool]:
        noises = 0.05 * np.exp(rng.normal(0, unlike, 12))
        a, b = ([draw(rng, k, one) for one in noises] for _ in range(2))
        one, other = process_noise(a), process_noise(b)
        pairs = zip(a, b, strict=True)
        return [_holds(ratio_of_medians(x, y, one, other), 1.0) for x, y in pairs]

    return trial


def until_narrow(bar: float, pooled: bool) -> Callable[[Rng, int], list[bool]]:
    """Return a trial of 12 ratios whose processes grow from 3 to at most k until within `bar`."""

    def trial(rng: Rng, k: int) -> list[bool]:
        def measure() -> list[Processes]:
            cases = []
            for _ in range(12):
                processes = list(draw(rng, 3, USUAL))
                while len(processes) < k and reach(processes) > bar:
                    processes += draw(rng, 1, USUAL)
                cases.append(processes)
            return cases

        a, b = measure(), measure()
        noise = [process_noise(side) if pooled else None for side in (a, b)]
        return [_holds(ratio_of_medians(x, y, *noise), 1.0) for x, y in zip(a, b, strict=True)]

    return trial


def difference(rng: Rng, k: int) -> list[bool]:
    """Try a paired difference over k seeds, whose common part is ten times the rest."""
    common = rng.normal(3.0, LOUD, k)
    a, b = (dict(enumerate(common + rng.normal(0, QUIET, k))) for _ in range(2))
    return [_holds(paired_difference(a, b), 0.0)]


def exponent(noise: Sequence[float]) -> Callable[[Rng, int], list[bool]]:
    """Return a trial of an exponent with so much noise at each length."""

    def trial(rng: Rng, k: int) -> list[bool]:
        found = scaling(LENGTHS, _line(rng, k, noise, 1.0, EXPONENTS[0]))
        assert found is not None
        return [_holds(found.exponent, EXPONENTS[0])]

    return trial


def crossing(noise: Sequence[float]) -> Callable[[Rng, int], list[bool]]:
    """Return a trial of a crossover inside the measured range."""

    def trial(rng: Rng, k: int) -> list[bool]:
        a, b = _line(rng, k, noise, 10.0, EXPONENTS[0]), _line(rng, k, noise, 2.0, EXPONENTS[1])
        return [_holds(crossover(LENGTHS, a, b).estimate, CROSSING)]

    return trial


TRIALS: dict[str, Callable[[Rng, int], list[bool]]] = {
    "median of a case": median,
    "ratio, equal noise": ratio((LOUD, LOUD)),
    "ratio, one side ten times noisier": ratio((LOUD, QUIET)),
    "ratio, pooled within a kind of equal noise": of_a_kind(0.0),
    "ratio, pooled within a kind of unequal noise": of_a_kind(0.5),
    "ratio, processes added until within 10 %, no kind": until_narrow(0.1, pooled=False),
    "ratio, processes added until within 10 %, within a kind": until_narrow(0.1, pooled=True),
    "paired difference": difference,
    "exponent, equal noise": exponent(EQUAL),
    "exponent, noise grows tenfold": exponent(GROWING),
    "crossover, equal noise": crossing(EQUAL),
    "crossover, noise grows tenfold": crossing(GROWING),
}


def _line(rng: Rng, k: int, noise: Sequence[float], start: float, power: float) -> list[Processes]:
    return [
        draw(rng, k, one, start * (n / LENGTHS[0]) ** power)
        for one, n in zip(noise, LENGTHS, strict=True)
    ]


def _holds(found: Estimate, truth: float) -> bool:
    return found.low <= truth <= found.high


def coverage(name: str, k: int, n_draws: int = N_DRAWS) -> float:
    """Return the share of intervals that hold the truth, from at least so many."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), k])
    hits: list[bool] = []
    while len(hits) < n_draws:
        hits += TRIALS[name](rng, k)
    return float(np.mean(hits))


def verdicts(
    n_pairs: int, bar: float, most: int, n_planted: int, scale: float = 1.0, seed: int = 0
) -> tuple[int, int]:
    """Compare simulated pairs of runs, with 10 % planted in so many of the cases.

    Returns in how many pairs something was worse, and in how many a planted case was.
    """
    rng = np.random.default_rng(seed)
    n_worse = n_found = 0
    for _ in range(n_pairs):
        before = simulated_run(rng, bar, most, scale=scale)
        planted = {int(i) for i in rng.choice(len(before), n_planted, replace=False)}
        found = compare_runs(before, simulated_run(rng, bar, most, planted, scale=scale))
        n_worse += found.exit_code
        n_found += any(found.table["worse"][i] == "time" for i in planted)
    return n_worse, n_found


def main() -> None:
    """Print both tables as they stand in CONTRIBUTING."""
    print(f"| 95 % interval of a | {' | '.join(f'{k} processes' for k in PROCESSES)} |")
    print("|---" * (len(PROCESSES) + 1) + "|")
    for name in TRIALS:
        print(f"| {name} | {' | '.join(f'{coverage(name, k):.3f}' for k in PROCESSES)} |")
    print("\n| noise | processes | same code: worse in | 10 % slower in 3 cases: found in |")
    print("|---|---|---|---|")
    for noise, scale, told, bar, most in (
        ("committed", 1.0, "3 to 10, until within 10 %", 0.1, 10),
        ("committed", 1.0, "10", 0.0, 10),
        ("committed", 1.0, "15", 0.0, 15),
        ("0.4 of it", 0.4, "3 to 10, until within 10 %", 0.1, 10),
    ):
        same, _ = verdicts(40, bar, most, 0, scale, seed=1)
        _, found = verdicts(40, bar, most, 3, scale)
        print(f"| {noise} | {told} | {same} of 40 | {found} of 40 |", flush=True)


if __name__ == "__main__":
    main()
