"""A synthetic run with known truth, and its report, drawn once for all tests."""

from pathlib import Path

import pytest
from synthetic import make_records, write_lines

from report.page.page import write_report
from suites.engine.store.records import Record


@pytest.fixture(scope="session")
def records() -> list[Record]:
    """Every case of every suite, three seeds."""
    return make_records()


@pytest.fixture(scope="session")
def run_folder(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a written report."""
    folder = tmp_path_factory.mktemp("run")
    write_lines(folder, records)
    write_report(folder)
    return folder
