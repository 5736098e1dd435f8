"""What is read from disk has the declared shape; what has not is skipped, and the place is said."""

import itertools
import json
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import pytest
from findings import IDENTITY, MEMORY, part_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweeps import CODE

from suites.engine.store.lines import append_line, drop_lines
from suites.engine.store.records import Record, misfit_of_record, read_job_lines, read_records
from suites.engine.store.shapes import misfit
from suites.settings import SETTINGS

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
COUNTER = itertools.count()


def record(**changes: Any) -> dict[str, Any]:
    """A whole record."""
    return {
        "format": 2,
        "method": 3,
        "case": "a",
        "label": "case a",
        "suites": ["x"],
        "seed": 0,
        "settings": {"length": 64},
        "kernel": "native",
        "status": "ok",
        "reason": "",
        "time": {"processes": [part_of("time")], "stopped_by": "interval"},
        "memory": MEMORY,
        "quality": None,
        "jobs": [],
        "identity": IDENTITY,
        "code": CODE,
        "started": "2026-01-01T00:00:00+00:00",
        "wall_s": 1.0,
    } | changes


def job_line(**changes: Any) -> dict[str, Any]:
    """A whole line of a job."""
    return {
        "case": "a",
        "kind": "time",
        "index": 0,
        "seed": 0,
        "status": "ok",
        "reason": "",
        "started": "2026-01-01T00:00:00+00:00",
        "wall_s": 1.0,
        "kernel": "native",
        "part": part_of("time"),
    } | changes


# Hypothesis also draws words of this project's sources; settings that are known have types.
UNKNOWN = st.text().filter(lambda name: name not in SETTINGS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.dictionaries(UNKNOWN, JSON, max_size=3), min_size=1, max_size=4), st.data())
def test_records_survive_the_disk_and_a_torn_last_line(
    tmp_path: Path, settings_of: list[dict[str, Any]], data: st.DataObject
) -> None:
    path = tmp_path / f"{next(COUNTER)}.jsonl"
    records = [record(case=str(i), settings=one) for i, one in enumerate(settings_of)]
    for one in records:
        append_line(path, one)
    assert read_records(path) == records
    content = path.read_bytes()
    last = len(content[:-1].rpartition(b"\n")[2])
    # a line that lost its last byte or more, the newline not counted
    path.write_bytes(content[: -1 - data.draw(st.integers(1, last))])
    assert read_records(path) == records[:-1]
    append_line(path, record(case="after"))
    assert read_records(path) == [*records[:-1], record(case="after")]


WRONG = [
    (b'{"format": 2, "method"', "it is cut short or no JSON"),
    (b"\xff\xfe\x00", "it is cut short or no JSON"),
    (b"[1, 2]", "it is list, not an object"),
    (b'"words"', "it is str, not an object"),
    (b'{"name": "of another program"}', "it has no 'case'"),
    (json.dumps(record(seed="0")).encode(), "seed is str, not int"),
    (json.dumps(record(seed=True)).encode(), "seed is bool, not int"),
    (json.dumps(record(suites="x")).encode(), "suites is str, not a list"),
    (json.dumps(record(settings=None)).encode(), "settings is null, not an object"),
    (json.dumps(record(status="fine")).encode(), "status is 'fine', not one of"),
    (json.dumps(record(time={"processes": []})).encode(), "time has no 'stopped_by'"),
    (
        json.dumps(record(time={"processes": [{}], "stopped_by": ""})).encode(),
        "time.processes has no 'disturbed'",
    ),
    (json.dumps(record(memory={"peak_bytes": 3})).encode(), "memory has no 'baseline_bytes'"),
    (
        json.dumps(record(memory=MEMORY | {"rest_bytes": None})).encode(),
        "memory.rest_bytes is null, not float",
    ),
]


@pytest.mark.parametrize(("line", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_foreign_line_is_skipped_with_a_note_that_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: bytes, said: str
) -> None:
    path = tmp_path / "records.jsonl"
    whole = [json.dumps(record(case=name)).encode() for name in "ab"]
    path.write_bytes(b"\n".join([whole[0], line, whole[1], b""]))
    assert [found["case"] for found in read_records(path)] == ["a", "b"]
    assert f"{path}, line 2 is skipped: {said}" in capsys.readouterr().err
    read_records(path)
    assert capsys.readouterr().err == "", "said once, however often the file is read"


@pytest.mark.parametrize("kind", ["time", "memory", "quality"])
def test_a_job_line_has_the_part_of_its_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tmp_path / "jobs.jsonl"
    append_line(path, job_line(kind=kind, part=part_of(kind)))
    append_line(path, job_line(kind=kind, part={"other": 1}))
    append_line(path, job_line(kind=kind, part=None))
    append_line(path, job_line(kind=kind, part=None, status="oom"))
    assert [line["status"] for line in read_job_lines(path)] == ["ok", "oom"]
    notes = capsys.readouterr().err.splitlines()
    assert ["line 2" in notes[0], "line 3" in notes[1], len(notes)] == [True, True, 2]


def test_records_of_a_newer_format_are_refused() -> None:
    with pytest.raises(ValueError, match="format 3, this version reads up to 2"):
        misfit_of_record(record(format=3))
    assert misfit_of_record(record(format=1)) == ""
    assert misfit_of_record(record(a_later_field=1)) == ""


def test_dropping_lines_keeps_what_is_not_understood(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"a": 1}\n{"torn\n[3]\n{"b": 2}\n')
    drop_lines(path, lambda line: "a" in line)
    assert path.read_bytes() == b'{"torn\n[3]\n{"b": 2}\n'
    assert list(tmp_path.iterdir()) == [path]


class Inner(TypedDict):
    """An example with most of what a shape can be."""

    kind: Literal["x", "y"]
    numbers: list[float]
    maybe: NotRequired[int | None]
    by_name: dict[str, bool]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"kind": "x", "numbers": [1, 2.5], "by_name": {"a": True}}, ""),
        ({"kind": "x", "numbers": [], "by_name": {}, "maybe": None, "more": 1}, ""),
        ({"kind": "z", "numbers": [], "by_name": {}}, "kind is 'z', not one of"),
        ({"kind": "x", "numbers": [True], "by_name": {}}, "numbers is bool, not float"),
        ({"kind": "x", "numbers": {}, "by_name": {}}, "numbers is dict, not a list"),
        ({"kind": "x", "numbers": [], "by_name": {"a": 1}}, "by_name.a is int, not bool"),
        ({"kind": "x", "numbers": [], "by_name": {}, "maybe": "1"}, "maybe is str, not int"),
        ({"kind": "x", "numbers": []}, "it has no 'by_name'"),
        (None, "it is null, not an object"),
    ],
)
def test_misfits_are_found_and_named(value: Any, problem: str) -> None:
    found = misfit(value, Inner)
    assert found.startswith(problem)
    assert bool(found) is bool(problem)


def test_the_committed_results_are_readable(capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parents[2] / "results/reference"
    folders = sorted(path.parent for path in root.glob("*/records.jsonl"))
    assert folders
    for folder in folders:
        found: list[Record] = read_records(folder / "records.jsonl")
        assert found
        read_job_lines(folder / "jobs.jsonl")
    assert capsys.readouterr().err == ""
