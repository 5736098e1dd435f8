"""The records of the reference run of the preset cpu, each with its settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report.reading.cases import load_run, resolved
from suites.settings import SETTINGS, Settings

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "cpu"


def reference_results() -> Iterator[tuple[dict[str, Any], Settings]]:
    """Yield each record of the run with the settings of its case."""
    for record in load_run(REFERENCE):
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in resolved(record["settings"]).items()
            if name in SETTINGS
        }
        yield record, Settings(**settings)
