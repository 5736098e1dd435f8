"""The record format: one JSON object per line for each finished case and seed. No torch.

    format, method     versions of the format and of the measuring method case, label        the
    case's id (suites.base.Case.id) and its short name suites             names of the suites in
    which the case stands seed               of data order, initialisation and hashing settings
    the settings that have an effect (suites.base.Settings.measured) kernel             which
    implementation of the attention ran ("native", "blocked", ...; "" for dense baselines) status,
    reason     one of STATUSES, and for all but "ok" what is known in one sentence time
    {"processes": [process, ...], "stopped_by": ...}; only in the records of the first seed;
                       process = {"first_ms": {part: ms}, "samples_ms": {part: [ms, ...]}, "steady":
                       bool, "stopped_by": "interval" | "budget", "disturbed": bool, "readings":
                       {...}} parts: "forward", "backward", "optimizer", "step" (their sum, as one
                       interval of time)
    memory             {"peak_bytes", "live_peak_bytes", "reserved_bytes" (CUDA), "method": "vmhwm"
    | "allocator"
                       | "sampled", "baseline_bytes", "weights_bytes", "gradients_bytes",
                       "optimizer_bytes", "rest_bytes", "live_rest_bytes", "predicted_bytes"}; only
                       in the records of the first seed
    quality            {"bits_per_dim", "accuracy", "curve": [[step, bits per dim], ...],
    "train_curve": same from the
                       training loss, "evaluated_with": {"1": {"bits_per_dim", "accuracy"}, ...,
                       "full": ...}, "heldout_tokens", "train_tokens", "data": what suites.tasks
                       says of the data}
    identity           what must agree for two numbers to be compared: machine, device, versions,
    threads, flags code               {"commit", "dirty", "hash"} of the measured code started,
    wall_s    ISO 8601 in UTC, and seconds in all processes together

A missing or null part was not measured.
"""

import json
import os
from pathlib import Path
from typing import Any

FORMAT = 1
STATUSES = ("ok", "skipped", "oom", "timeout", "crash", "diverged")

Record = dict[str, Any]


def append_record(path: Path, record: Record) -> None:
    """Append one line, flushed and synced, so that a kill at any moment loses at most the record in
    flight.

    A torn last line that an earlier kill left behind is closed first. Raises OSError as the file
    system does.
    """
    line = json.dumps(record, allow_nan=False) + "\n"
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = "\n" + line
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read_records(path: Path) -> list[Record]:
    """All whole records of a file; torn lines, which a kill in mid-write leaves, are ignored."""
    records = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
