"""Learning curves become event files of TensorBoard, a folder for each training. No torch."""

import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from reformer.checks import require
from suites.engine.store.records import Record, part_of

HELD_OUT, TRAINING = "bits per dim/held-out", "bits per dim/training"


def require_tensorboard() -> None:
    """Raise ValueError, saying how to install it, if TensorBoard's package is missing."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        found = False
    else:
        found = True
    command = "pip install -c constraints.txt -e '.[tensorboard]'"
    require(found, f"--tensorboard needs the package tensorboard; install it with: {command}")


def write_event_files(
    records: Iterable[Record], names: Mapping[str, str], folder: Path
) -> list[Path]:
    """Write the learning curves of each record that has any, in place of what was there before.

    names: of the cases, by their ids; a training's folder has id, seed and name. A point's time is
    that of its training, evaluations not counted. Returns the folders. Raises OSError where they
    cannot be written, which TensorBoard's own EventFileWriter prints from a thread.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    written = []
    for record in records:
        quality = part_of(record, "quality")
        if not quality.get("curve"):
            continue
        which = f"{record['case']} seed {record['seed']}"
        for before in folder.glob(f"{which}, *"):  # its name may have been another one
            shutil.rmtree(before)
        path = folder / f"{which}, {names[record['case']]}".replace("/", "-")
        started = datetime.fromisoformat(record["started"]).timestamp()
        seconds = quality.get("curve_s") or [0.0] * len(quality["curve"])
        per_step = seconds[-1] / max(quality["curve"][-1][0], 1)
        points: list[tuple[str, float, float, float]] = [
            *((HELD_OUT, x, y, s) for (x, y), s in zip(quality["curve"], seconds, strict=True)),
            *((TRAINING, step, bits, per_step * step) for step, bits in quality["train_curve"]),
        ]
        events = [Event(wall_time=started, file_version="brain.Event:2")]
        for tag, step, bits, after in points:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=bits)])
            events.append(Event(wall_time=started + after, step=int(step), summary=summary))
        path.mkdir(parents=True)
        with (path / "events.out.tfevents").open("wb") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())
        written.append(path)
    return written
