"""The records of reference runs, each with its settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report.reading.cases import load_run, resolved
from suites.settings import SETTINGS, Settings

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


def reference_results(runs: str = "cpu") -> Iterator[tuple[dict[str, Any], Settings]]:
    """Yield each record of the runs of such a name with the settings of its case."""
    for record in [one for folder in sorted(REFERENCE.glob(runs)) for one in load_run(folder)]:
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in resolved(record["settings"]).items()
            if name in SETTINGS
        }
        yield record, Settings(**settings)
