"""Caveats tell what a reader must know before believing the numbers of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from baselines.config import DIFFERENCES
from report.reading.analyses import mass_met
from report.reading.captions import stand_in_text
from report.reading.cases import CaseResult, code_text, resolved, samples_of
from report.reading.judged import BITS, judged_of
from report.statistics.samples import outliers
from report.statistics.seeds import MIN_SEEDS
from report.text import bytes_text, off_text, plural
from suites.engine.store.records import Record, part_of

# A machine whose speed varied by more than this factor is worth a word.
SPEED_WITHIN = 1.1
# Of the count models of suites.tasks.count_model; records from before 2026-11-28 end at order 2.
COUNTS = {
    f"order {n}": f"counts of the {word} bytes before"
    for n, word in ((2, "two"), (3, "three"), (4, "four"))
}


def caveats(records: Sequence[Record], cases: Sequence[CaseResult]) -> list[str]:
    """List what a reader must know before believing the numbers, as far as the records tell."""
    found = [
        "Times of few processes have wide intervals: a difference not seen may still be there. "
        "Intervals are Student's over processes; the noise of a case is weighted with that of "
        "others of its kind (same machine, subject and family, step of the same order of "
        "magnitude), where these are at least 6 and alike. Fewer than 3 processes have no interval "
        "without them."
    ]
    stand_ins = stand_in_text(records)
    if stand_ins:
        found.append(stand_ins)
    n_few = sum(0 < len(case.quality()) < MIN_SEEDS for case in cases)
    if n_few:
        found.append(
            f"{plural(n_few, 'case')} rest on fewer than {MIN_SEEDS} seeds: that is no claim about "
            "their bits per dim, and one seed has no interval."
        )
    found += trivial_model_caveats(cases)
    found += timing_caveats(records)
    if any(part_of(r, "memory").get("method") == "sampled" for r in records):
        found.append("Peak memory was sampled every millisecond: shorter spikes may be missing.")
    if any((record.get("code") or {}).get("dirty") for record in records):
        found.append("Measured with uncommitted changes: the commit does not tell the code.")
    coded = [record for record in records if record.get("code")]
    if len({record["code"].get("hash") for record in coded}) > 1:
        found.append(
            f"MIXED CODE: measured with {'; '.join(dict.fromkeys(map(code_text, coded)))}."
        )
    peers = {
        str(case.settings.get("attention")): case.version for case in cases if case.kind == "peer"
    }
    found += [
        f"{' '.join(filter(None, (peer, version)))}, {DIFFERENCES[peer]}."
        for peer, version in peers.items()
    ]
    if any(case.mark for case in cases):
        found.append(
            "MIXED: records of different machines, versions or methods stand side by side."
        )
    for case in cases:
        if case.mispredicted is not None:
            found.append(
                f"{case.label}: the predicted peak of {bytes_text(case.memory('predicted_bytes'))} "
                f"is {off_text(case.mispredicted)}; live tensors took "
                f"{bytes_text(case.memory('live_peak_bytes'))}."
            )
    return found


def trivial_model_caveats(cases: Sequence[CaseResult]) -> list[str]:
    """Say which models are no better than the best trivial one of their data, and why.

    Where none is better, all have learnt little. Where some are, LSH attention misses positions
    that the trivial model knows.
    """
    of_task: dict[str, list[tuple[CaseResult, float, str, float]]] = {}
    for case in cases:
        mean, trivial = case.bits(), best_trivial_model(case)
        if mean is not None and trivial is not None and judged_of(case) is BITS:
            task = str(case.settings.get("task"))
            of_task.setdefault(task, []).append((case, mean.value, *trivial))
    found = []
    for task, trained in of_task.items():
        if trained[0][2] == COUNTS["order 2"]:
            found.append(
                f"{task}: counts of more than two bytes before cost less, but these records were "
                "made without them: to be below those of two says little."
            )
        behind = [(case, own, name, bits) for case, own, name, bits in trained if own > bits]
        if len(behind) == len(trained):
            _, _, name, bits = trained[0]
            found.append(
                f"{task}: no model is below {name} ({bits:.2f} bits per dim). All have learnt "
                "little: what they say of quality is of the start of a training."
            )
            continue
        for case, own, name, bits in behind:
            if case.kind == "reformer":
                met = mass_met(case)
                held = f", which held {met.value:.0f} % of its attention weight" if met else ""
                found.append(
                    f"{case.label}: {own:.3f} bits per dim, no better than {name} ({bits:.2f}). A "
                    f"position meets only those of its buckets{held}; the ones just before it, "
                    "which that knows, need not be among them."
                )
    return found


def best_trivial_model(case: CaseResult) -> tuple[str, float] | None:
    """Return name and bits per dim of the best trivial model of a case's data; None if unknown."""
    for record in case.records:
        reference = (part_of(record, "quality").get("data") or {}).get("reference") or {}
        if reference:
            name, bits = min(reference.items(), key=lambda one: float(one[1]))
            return COUNTS.get(name, name), float(bits)
    return None


def timing_caveats(records: Sequence[Record]) -> list[str]:
    """List what limits trust in timings: other load, unsteadiness, few samples, outliers."""
    found = growth_caveats(records)
    processes = [p for r in records for p in part_of(r, "time").get("processes") or []]
    samples = [one for record in records for one in samples_of(record, "step")]
    for word, n in (
        (
            "disturbed by other work on the machine",
            sum(bool(p.get("disturbed")) for p in processes),
        ),
        (
            "not steady when sampling began",
            sum(p.get("steady") is False and not is_long(p) for p in processes),
        ),
        (
            "timed once only, which is no measurement",
            sum(len(one) == 1 for one in samples) - sum(map(is_long, processes)),
        ),
    ):
        if n:
            found.append(f"{n} of {len(processes)} timed processes were {word}.")
    n_outliers = sum(len(outliers(one)) for one in samples)
    if n_outliers:
        found.append(
            f"{n_outliers} of {sum(map(len, samples))} timings of a step are outliers of their "
            "process (beyond Tukey's fences); they count like all others."
        )
    return [*found, *speed_caveats(records)]


def is_long(process: Mapping[str, Any]) -> bool:
    """Return whether a step took over a minute, so that one sample is all its process has."""
    return process.get("stopped_by") == "long"


def growth_caveats(records: Sequence[Record]) -> list[str]:
    """Say which times are known less well than was asked, and which rest on 3 samples in all."""
    found = []
    times = [part_of(record, "time") for record in records if part_of(record, "time")]
    wide = [time for time in times if time.get("grown_until") == "limit"]
    bars = sorted({time["within"] for time in wide if time.get("within")})
    if wide:
        asked = " or ".join(f"{100 * bar:.2g}" for bar in bars)
        found.append(
            f"Of {len(wide)} of {len(times)} timings the interval is wider than the {asked} % "
            "asked for, with as many processes as were allowed."
        )
    long = [time["processes"] for time in times if any(map(is_long, time.get("processes") or []))]
    if long:
        n_samples = sum(len(p["samples_ms"].get("step", [])) for of_case in long for p in of_case)
        found.append(
            f"Steps of over a minute have one sample in each process, {n_samples} in all: "
            f"{plural(len(long), 'case')}."
        )
    return found


def speed_caveats(records: Sequence[Record]) -> list[str]:
    """Say how fast the machine itself was in the timed processes, if it was not always the same.

    On a GPU a process measures the matrix product of its case's precision, on the CPU of float32.
    """
    speeds: dict[str, list[float]] = {}
    for record in records:
        on_cpu = (record.get("identity") or {}).get("device") == "cpu"
        precision = "float32" if on_cpu else resolved(record.get("settings") or {})["precision"]
        speeds.setdefault(precision, []).extend(
            rate
            for job in record.get("jobs") or []
            if job["kind"] == "time" and (rate := job.get("gflops"))
        )
    return [
        f"The machine itself was not always as fast: a {precision} matrix product ran at "
        f"{min(found):.0f} to {max(found):.0f} GFLOP/s in the timed processes."
        for precision, found in speeds.items()
        if found and max(found) >= SPEED_WITHIN * min(found)
    ]
