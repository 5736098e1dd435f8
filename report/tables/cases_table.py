"""Records become tables: all rows for programs, compact tables per suite for people."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from report.reading.cases import (
    PARTS,
    CaseResult,
    commit_text,
    in_suite,
    kind_of,
    resolved,
    samples_of,
    suite_names,
    tokens_at_once,
    version_of,
)
from report.reading.floor import floors_of, floors_of_case, share_text
from report.reading.gathering import gather
from report.reading.judged import judged_of, score_of
from report.reading.series import name_among
from report.reading.view import question_of
from report.statistics.estimates import Estimate
from report.statistics.samples import geometric_mean_of_medians, outliers
from report.tables.evaluated_with_table import bucket_of
from report.tables.markup import to_latex, to_markdown, without_empty
from report.text import bytes_text, interval_text, ms_text, off_text, plural
from suites.effects import HOW
from suites.engine.store.records import Record, mispredicted, part_of
from suites.labels import level_phrase, telling_apart
from suites.settings import SETTINGS, Settings

FIRST_COLUMNS = (
    "suite case model attention kernel length batch n_layers d_model n_rounds bucket_size "
    "chunk_length reversible ff_chunks seed status reason forward_ms backward_ms optimizer_ms "
    "step_ms step_ms_low step_ms_high tokens_per_second peak_bytes live_peak_bytes rest_bytes "
    "live_rest_bytes predicted_bytes bits_per_dim accuracy device commit version"
).split()
WHAT = [name for name in SETTINGS if name not in HOW]  # was measured
EVALUATED = "evaluated_with_"  # and with what, and the score
LATEX_NOTE = (
    "+- is half a 95 % interval: of times over processes, of quality over seeds; one cut at 0 or "
    "100 % is told by its ends. Memory is the peak of one step."
)
# How the time was found, and what else is known of the memory.
TIMING = (
    "first_step_ms n_processes n_samples n_outliers stopped_by grown_until steady disturbed".split()
)
FLOORS = "floor_ms_low floor_ms_high floor_share_low floor_share_high".split()
FLOOR = "share of the floor"
MEMORY_BESIDE = (
    "baseline_bytes weights_bytes gradients_bytes optimizer_bytes reserved_bytes memory_method"
).split()
MEMORY = [name for name in (*FIRST_COLUMNS, *MEMORY_BESIDE) if name.endswith("_bytes")]
WHOLE_NUMBERS = [f.name for f in fields(Settings) if f.type in (int, int | None)]
WHOLE_NUMBERS += [*MEMORY, "seed", "n_processes", "n_samples", "n_outliers"]


def to_frame(records: Sequence[Record], cases: Iterable[CaseResult] | None = None) -> pd.DataFrame:
    """Return one row per case, seed and suite, failures too.

    Times are in ms, geometric means of the medians of the processes, that of the step with the ends
    of its 95 % interval; memory is in bytes; floors (report.reading.floor) go from the lowest to
    the highest of the processes; scores with other attention than in training are last. cases: the
    same records, gathered, where that is done already.
    """
    gathered = gather(records, mixed=True) if cases is None else cases
    steps = {id(record): case.time() for case in gathered for record in case.records}
    rows = [
        _row(record, suite, steps.get(id(record)))
        for record in records
        for suite in record.get("suites") or [""]
    ]
    names = [*FIRST_COLUMNS, *(name for name in SETTINGS if name not in FIRST_COLUMNS)]
    names += [*TIMING, *FLOORS, *MEMORY_BESIDE, "mispredicted_by", "machine", "code", "method"]
    names += ["date", "label"]
    evaluated = [name for row in rows for name in row if name.startswith(EVALUATED)]
    frame = pd.DataFrame(rows).reindex(columns=[*names, *dict.fromkeys(evaluated)])
    for name in WHOLE_NUMBERS:
        frame[name] = pd.to_numeric(frame[name]).astype("Int64")
    return frame


def _row(record: Record, suite: str, step: Estimate | None) -> dict[str, Any]:
    settings = resolved(record.get("settings") or {})
    time, identity = part_of(record, "time"), record.get("identity") or {}
    memory, quality = part_of(record, "memory"), part_of(record, "quality")
    processes = time.get("processes") or []
    row: dict[str, Any] = {
        **{k: _plain(v) for k, v in settings.items()},
        "suite": suite,
        "case": record["case"],
        "label": record.get("label"),
        "model": kind_of(settings),
        # the setting names what was asked for, the record what ran
        "kernel": record.get("kernel") or None,
        **{name: record.get(name) for name in ("seed", "status", "reason")},
        **{name: memory.get(name) for name in MEMORY},
        **{name: quality.get(name) for name in ("bits_per_dim", "accuracy")},
        **{name: identity.get(name) for name in ("device", "machine")},
        "version": version_of(record) or None,
        "commit": commit_text(record),
        "code": (record.get("code") or {}).get("hash"),
        "method": record.get("method"),
        "date": str(record.get("started") or "")[:10] or None,
        "stopped_by": time.get("stopped_by"),
        "grown_until": time.get("grown_until"),
        "disturbed": any(p.get("disturbed") for p in processes) if processes else None,
        "steady": all(p.get("steady") for p in processes) if processes else None,
        "memory_method": memory.get("method"),
        "mispredicted_by": mispredicted(memory),
    }
    firsts = [p["first_ms"]["step"] for p in processes if "step" in p.get("first_ms", {})]
    if firsts:
        row["first_step_ms"] = float(np.median(firsts))
    for part in PARTS:
        samples = samples_of(record, part)
        if samples:
            row[f"{part}_ms"] = geometric_mean_of_medians(samples)
            # of the step, the last part
            row["n_processes"], row["n_samples"] = len(samples), sum(map(len, samples))
            row["n_outliers"] = sum(len(outliers(one)) for one in samples)
    if "step_ms" in row and step is not None and step.has_interval:
        row["step_ms_low"], row["step_ms_high"] = step.low, step.high
    for name, scores in (quality.get("evaluated_with") or {}).items():
        for score in ("bits_per_dim", "accuracy"):
            column = f"{EVALUATED}{re.sub('[^a-z0-9]+', '_', str(name).lower())}_{score}"
            row[column] = scores.get(score)
    floors = floors_of(record)
    for part in ("ms", "share") if floors else ():
        values = [getattr(floor, part) for floor in floors]
        row[f"floor_{part}_low"], row[f"floor_{part}_high"] = min(values), max(values)
    if row.get("step_ms"):
        row["tokens_per_second"] = tokens_at_once(settings) / row["step_ms"] * 1000
    return row


def _plain(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple) else value


def suite_table(cases: Sequence[CaseResult]) -> pd.DataFrame:
    """Return a table of one suite for people, with a row per case.

    +- is half the 95 % interval. Failures are rows with their reason.
    """
    rows, ordered = [], sorted(cases, key=_sort_key)
    for name, case in zip(row_names(ordered), ordered, strict=True):
        status, reason = case.failure
        score, judged = score_of(case), judged_of(case)
        row = {
            "model": name,
            "version": case.version,
            **{name: case.settings.get(name) for name in ("length", "n_layers")},
            **{name.replace("step", "whole step"): ms_text(case.time(name)) for name in PARTS},
            "processes": _processes(case),
            FLOOR: share_text(floors_of_case(case)),
            "peak memory": bytes_text(case.memory("peak_bytes")),
            "of it activations": bytes_text(case.memory("rest_bytes")),
            "live tensors": bytes_text(case.memory("live_peak_bytes")),
            "predicted": _predicted(case),
            judged.head: interval_text(score, judged.decimals),
            "seeds": str(score.n) if score else "",
            "failure": f"{status}: {reason}" if status else "",
        }
        rows.append(row)
    table = without_empty(pd.DataFrame(rows).rename(columns={"n_layers": "layers"}))
    constant = [c for c in ("length", "layers") if c in table and table[c].nunique() == 1]
    return table.drop(columns=constant if len(table) > 1 else [])


def row_names(cases: Sequence[CaseResult]) -> list[str]:
    """Name the cases of a table so that no two rows are alike in name, length and layers.

    What differs may be a setting that only one of them has: of dense models the buckets in which
    LSH attention evaluates them.
    """
    names = [name_among(case, cases) for case in cases]
    alike: dict[tuple[object, ...], list[int]] = {}
    for i, case in enumerate(cases):
        at = case.settings.get("length"), case.settings.get("n_layers"), case.version
        alike.setdefault((names[i], *at), []).append(i)
    for places in alike.values():
        keys = telling_apart([cases[i].settings for i in places], WHAT)
        for i in places:
            names[i] = ", ".join([names[i], *(_told(key, cases[i]) for key in keys)])
    return names


def _told(key: str, case: CaseResult) -> str:
    if key == "bucket_size" and case.kind == "dense" and bucket_of(case):
        return f"evaluated in buckets of {bucket_of(case):g}"
    value = case.settings.get(key)
    return f"usual {key.replace('_', ' ')}" if value is None else level_phrase(key, value)


def _processes(case: CaseResult) -> str:
    """Say of how many processes the time is, and what is to know beside: few samples, the limit."""
    found = case.processes()
    if not found:
        return ""
    grown_until = next(
        (part_of(r, "time").get("grown_until") for r in case.records if part_of(r, "time")), None
    )
    samples = plural(sum(map(len, found)), "sample")
    note = {"long": f" ({samples} in all)", "limit": " (limit)"}.get(str(grown_until), "")
    return f"{len(found)}{note}"


def _predicted(case: CaseResult) -> str:
    text, off = bytes_text(case.memory("predicted_bytes")), case.mispredicted
    return text if off is None else f"{text} ({off_text(off)})"


def _sort_key(case: CaseResult) -> tuple[str, int, int, int]:
    s = case.settings
    return s["attention"], s.get("n_rounds") or 0, s["length"], s.get("n_layers") or 0


def write_tables(
    records: Sequence[Record], cases: Sequence[CaseResult], folder: Path, title: str
) -> list[Path]:
    """Write table.csv, table.md and table.tex into `folder` and return their paths."""
    frame = to_frame(records, cases)
    is_empty = frame.isna() | (frame.astype(object) == "")
    frame = frame.loc[:, ~is_empty.all()].copy()
    frame.insert(0, "run", folder.name)
    frame.to_csv(folder / "table.csv", index=False)
    markdown, latex = [f"# {title}\n"], []
    for suite in suite_names(cases):
        table = suite_table(in_suite(cases, suite))
        markdown.append(f"## {suite}\n\n{to_markdown(table)}")
        caption = f"{question_of(suite) or suite} {LATEX_NOTE}"
        latex.append(to_latex(table, caption, f"tab:{folder.name}-{suite}"))
    (folder / "table.md").write_text("\n".join(markdown), encoding="utf-8")
    (folder / "table.tex").write_text("\n".join(latex), encoding="utf-8")
    return [folder / f"table.{kind}" for kind in ("csv", "md", "tex")]
