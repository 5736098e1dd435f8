"""The record format: one JSON object per line for each finished case and seed. No torch.

    field        meaning
    -----------  -----------------------------------------------------------------------------
    format       version of this format
    method       version of the measuring method (suites.base.METHOD_VERSION)
    case, label  the case's id (suites.base.Case.id) and its short name
    suites       names of the suites in which the case stands
    seed         of data order, initialisation and hashing
    settings     the settings that have an effect (suites.base.Settings.measured)
    kernel       the implementation of attention that ran: "native", "blocked", "sdpa", ...
    status       one of STATUSES
    reason       for all but "ok", what is known, in one sentence
    time         see below; only in the record of a case's first seed
    memory       see below; only in the record of a case's first seed
    quality      see below
    identity     what must agree for two numbers to be compared: machine, device, versions,
                 threads, flags
    code         {"commit", "dirty", "hash"} of the measured code
    started      ISO 8601 in UTC
    wall_s       seconds in all processes together

A missing or null part was not measured. A case that failed keeps what was measured before.

    time
    -----------  -----------------------------------------------------------------------------
    processes    one entry per process, see below
    stopped_by   "budget" if any process was stopped by it, else "interval"
    replaced     the first, disturbed timing of each process that was measured again, of the same
                 form as an entry of `processes`, which it is no part of; missing if there is none

    processes[]  parts are "forward", "backward", "optimizer" and "step", which is their sum
    -----------  -----------------------------------------------------------------------------
    first_ms     {part: ms} of the first call
    samples_ms   {part: [ms, ...]}, every sample in the order in which it was taken
    steady       did warm-up end because two windows were alike?
    stopped_by   "interval": the median is known to 2 %; or "budget": the time was spent
    disturbed    was there foreign load meanwhile?
    readings     load average, clocks, foreign cores, free memory, ... beside the samples

    memory, in bytes of one step
    -----------------  -----------------------------------------------------------------------
    peak_bytes         of the process, the interpreter subtracted; on CUDA of the allocator
    rest_bytes         peak less weights, gradients and optimizer state: activations, workspace
    live_peak_bytes    of the storage behind live tensors, the same on every machine
    live_rest_bytes    the same less what was alive before the step
    predicted_bytes    what live_peak_bytes should be by formula (suites.engine.sweep.prediction)
    weights_bytes, gradients_bytes, optimizer_bytes    what is alive before and after the step
    baseline_bytes     of the process or the allocator before the step
    reserved_bytes     CUDA only: what the allocator held of the device at most
    method             how peak_bytes was read: "vmhwm", "allocator" or "sampled"

    quality
    --------------  --------------------------------------------------------------------------
    bits_per_dim    held-out cross-entropy / ln 2
    accuracy        share of held-out symbols predicted right
    curve           [[step, held-out bits per dim], ...], the last being the end of training
    train_curve     the same from the training loss
    evaluated_with  {"1": {"bits_per_dim", "accuracy", "heldout_tokens"}, ..., "full": ...}: the
                    same weights with other numbers of hash rounds, or with full attention
    heldout_tokens, train_tokens    how many were counted, and seen in training
    threads         of the training process
    data            what suites.tasks says of the data
"""

import json
import os
from pathlib import Path
from typing import Any

FORMAT = 1
STATUSES = ("ok", "skipped", "oom", "timeout", "crash", "diverged")

Record = dict[str, Any]
# A predicted peak further off than this share is worth a warning.
PREDICTED_WITHIN = 0.3


def mispredicted(memory: dict[str, Any] | None) -> float | None:
    """By which share of the measured peak the predicted one is too high, or below 0 too low, if
    that is more than PREDICTED_WITHIN; else None. memory: that part of a record.
    """
    predicted, measured = (
        (memory or {}).get(f"{name}_bytes") for name in ("predicted", "live_peak")
    )
    if not predicted or not measured:
        return None
    off = predicted / measured - 1
    return off if abs(off) > PREDICTED_WITHIN else None


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
