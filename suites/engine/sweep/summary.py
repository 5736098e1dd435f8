"""What a sweep will take is told before it, its counts and failures after it. No torch."""

from collections import Counter
from collections.abc import Container, Sequence
from math import inf
from statistics import fmean, geometric_mean, median

from suites.base import make_case
from suites.engine.store.records import Record
from suites.engine.store.runs import shorten
from suites.engine.sweep.backlog import Backlog
from suites.engine.sweep.cards import LENGTHS, TimeModel, predicted_crossover
from suites.engine.sweep.estimates import Estimates, in_words
from suites.engine.sweep.merging import why
from suites.engine.sweep.prediction import predicted_peak
from suites.engine.sweep.progress import misprediction
from suites.engine.terminal import table_text
from suites.settings import change

N_SHOWN = 20
Key = tuple[str, int]  # of a record: its case and seed
FAILED = ("oom", "timeout", "crash", "diverged")


def counts(backlog: Backlog) -> str:
    """Count the records by status: "12 ok, 1 oom"."""
    found = Counter(record["status"] for record in backlog.records.values())
    return ", ".join(f"{n} {status}" for status, n in found.items()) or "nothing measured"


def n_measurements(backlog: Backlog) -> int:
    """Count the finished jobs, in records or waiting for one."""
    lines = map(backlog.ledger.standing_lines, backlog.cases)
    return sum(line["status"] == "ok" for of_case in lines for line in of_case)


def has_failures(backlog: Backlog) -> bool:
    """Return whether any case failed; one that is skipped did not."""
    return any(record["status"] in FAILED for record in backlog.records.values())


def print_results(backlog: Backlog, before: Container[Key], width: int) -> None:
    """Print a table of the cases with records that were not there before, at most N_SHOWN of them.

    Times are geometric means of the processes' medians, as on the page, bits per dim means over the
    seeds; memory is that of live tensors.
    """
    new: dict[str, list[Record]] = {}
    for key, record in backlog.records.items():
        if key not in before and record["status"] == "ok":
            new.setdefault(key[0], []).append(record)
    if not new:
        return
    rows = [_row(backlog.names[case_id], records) for case_id, records in new.items()]
    print(
        table_text(("what", "a step", "live tensors", "bits per dim"), rows[:N_SHOWN], width),
        end="",
    )
    if len(rows) > N_SHOWN:
        print(f"and {len(rows) - N_SHOWN} more")


def _row(name: str, records: Sequence[Record]) -> tuple[str, str, str, str]:
    times = [
        median(process["samples_ms"]["step"])
        for record in records
        for process in (record["time"]["processes"] if record["time"] else [])
        if process["samples_ms"].get("step")
    ]
    peaks = [record["memory"]["live_peak_bytes"] for record in records if record["memory"]]
    bits = [record["quality"]["bits_per_dim"] for record in records if record["quality"]]
    return (
        name,
        f"{geometric_mean(times):.4g} ms" if times else "",
        f"{max(peaks) / 2**20:.4g} MiB" if peaks else "",
        f"{fmean(bits):.3f}" if bits else "",
    )


def print_failures(backlog: Backlog) -> None:
    """Print every record that is not ok, and every failed job of cases that are not finished."""
    failed = [
        (case_id, seed, record["status"], record["reason"])
        for (case_id, seed), record in backlog.records.items()
    ]
    failed += [
        (line["case"], line["seed"], line["status"], why(line))
        for case_id in backlog.cases
        for line in backlog.ledger.standing_lines(case_id)
        if (line["case"], line["seed"]) not in backlog.records
    ]
    for case_id, seed, status, reason in failed:
        if status != "ok":
            log = backlog.folder.log_path(case_id)
            where = f" (log: {shorten(log)})" if log.exists() else ""
            print(f"  {status}: {backlog.names[case_id]}, seed {seed}: {reason}{where}")


def print_mispredictions(backlog: Backlog) -> None:
    """Print every case whose predicted peak of memory is far from the measured one."""
    for (case_id, _), record in backlog.records.items():
        told = misprediction(record.get("memory"))
        if told:
            print(f"  {backlog.names[case_id]}: {told}")


def print_cases(backlog: Backlog, estimates: Estimates) -> None:
    """Print a line per case, and how long all of them will take."""
    left = backlog.open_jobs()
    print(f"{'case':12}  {'done':>5}  {'left':>7}  {'peak MiB':>8}  what")
    for case_id, case in backlog.cases.items():
        jobs = backlog.known_jobs(case_id)
        own = [job for job in left if job.case_id == case_id]
        predicted = None if case.skip else predicted_peak(case.settings, backlog.plan.device)
        peak = "" if predicted is None else f"{predicted / 2**20:.0f}"
        done = "skip" if case.skip else f"{len(jobs) - len(own)}/{len(jobs)}"
        words, name = in_words(estimates.total(own)), backlog.names[case_id]
        what = f"{name}: {case.skip}" if case.skip else name
        print(f"{case_id:12}  {done:>5}  {words:>7}  {peak:>8}  {what}")
    n_done = sum(len(backlog.known_jobs(case_id)) for case_id in backlog.cases) - len(left)
    print(
        f"run {backlog.plan.name}: {len(backlog.cases)} cases, {len(left)} processes to run, "
        f"{n_done} done; predicted time {estimates.left_in_words(left)} on {backlog.plan.device}"
    )


def print_on_device(backlog: Backlog, model: TimeModel) -> None:
    """Print the predicted time of a step of every case, and where LSH attention gets ahead."""
    print(f"{'case':12}  {'a step':>13}  {'bound by':8}  what, on {model.name}")
    for case_id, case in backlog.cases.items():
        # what this machine cannot do is skipped here, and may be done there
        found = None if make_case(case.settings).skip else model.predict(case.settings)
        time, bound = (f"{1e3 * found.seconds:,.2f} ms", found.bound) if found else ("?", "")
        print(f"{case_id:12}  {time:>13}  {bound:8}  {backlog.names[case_id]}")
    for name, length in _crossovers(backlog, model).items():
        ahead = f"from {length:,.0f} tokens on" if length < inf else "at no length"
        shortest = " (the shortest looked at)" if length == LENGTHS[0] else ""
        print(f"predicted: one sequence of {name}, is ahead of sdpa {ahead}{shortest}")
    print(f"these are predictions for {model.name}, from products, bytes and operations issued")


def _crossovers(backlog: Backlog, model: TimeModel) -> dict[str, float]:
    """Return from which length on each LSH attention call is ahead of fused full attention."""
    found: dict[str, float | None] = {}
    for case in backlog.cases.values():
        s = case.settings
        if s.subject == "attention" and s.attention == "lsh" and s.within_bucket:
            name = (
                f"LSH-{s.n_rounds}, bucket {s.bucket_size}, chunk {s.lsh().m}, {s.n_heads} heads, "
                f"width {s.d_model}, in {s.precision}"
            )
            if name not in found:
                found[name] = predicted_crossover(model, s, change(s, attention="sdpa"))
    return {name: length for name, length in found.items() if length is not None}
