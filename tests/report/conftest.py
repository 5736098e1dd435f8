"""All tests of the report share a synthetic run with known truth, drawn once."""

from pathlib import Path

import pytest
from synthetic import make_records, write_lines

from report.page.page import write_report
from suites.engine.store.records import Record


@pytest.fixture(scope="session")
def records() -> list[Record]:
    """Make the records of every case of every suite, with three seeds."""
    return make_records(seed=2)


@pytest.fixture(scope="session")
def run_folder(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a run folder with a written report."""
    folder = tmp_path_factory.mktemp("run")
    write_lines(folder, records)
    write_report(folder)
    return folder
