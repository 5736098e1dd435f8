"""Records that were damaged or made up are skipped with a note, and nothing leaves the folder."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from synthetic import write_lines

import run_bench
from report.figures.style import new_figure, save
from report.page.page import write_report
from suites.engine.store import runs
from suites.engine.store.records import Record, read_job_lines, read_records
from suites.engine.store.runs import RunFolder, run_folder

NAMES = ["../../../escaped", "/tmp/escaped", "a\0b", "a/b", "..", "", "a\nb", "x" * 300, ".hidden"]


@pytest.fixture
def one(records: list[Record]) -> dict[str, Any]:
    """A record with a time, as plain data of its own."""
    return json.loads(json.dumps(next(r for r in records if r.get("time"))))


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("key", ["case", "suites"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_out_of_the_folder_is_skipped(
    tmp_path: Path,
    one: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    key: str,
    name: str,
) -> None:
    folder = tmp_path / "a" / "b" / "c" / "run"
    folder.mkdir(parents=True)
    bad = one | {key: [name] if key == "suites" else name}
    write_lines(folder, [one, bad])  # type: ignore[list-item]
    before = files_of(tmp_path)
    if name in NAMES[:2]:
        write_report(folder)
    assert all(path.is_relative_to(folder) for path in files_of(tmp_path) - before)
    assert len(read_records(folder / "records.jsonl")) == 1
    assert "line 2 is skipped" in capsys.readouterr().err


def test_a_suite_named_as_a_module_imports_nothing(tmp_path: Path, one: dict[str, Any]) -> None:
    write_lines(tmp_path, [one | {"suites": ["engine.measure.probe"]}])  # type: ignore[list-item]
    sys.modules.pop("suites.engine.measure.probe", None)
    write_report(tmp_path)
    assert "suites.engine.measure.probe" not in sys.modules


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/b"])
def test_no_figure_leaves_its_folder(tmp_path: Path, name: str) -> None:
    figure, _ = new_figure()
    with pytest.raises(ValueError, match="no plain name"):
        save(figure, tmp_path / "figures", name)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_and_a_log_have_plain_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plain"):
        run_folder(name)
    with pytest.raises(ValueError, match="plain"):
        RunFolder(tmp_path).log_path(name)


SAMPLES = {
    "all zero": [0.0, 0.0, 0.0],
    "mostly zero": [0.0, 0.0, 1.0],
    "negative": [1.0, -1.0, 1.0],
    "not a number": [1.0, float("nan")],
    "infinite": [1.0, float("inf")],
    "beyond floats": [1.0, 10**400],
}


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("command", ["report", "compare", "compare --by", "status", "list"])
def test_samples_that_are_no_durations_are_skipped(
    tmp_path: Path,
    one: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    samples: str,
    command: str,
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    bad = json.loads(json.dumps(one)) | {"case": "other"}
    for process in bad["time"]["processes"]:
        process["samples_ms"] = dict.fromkeys(process["samples_ms"], SAMPLES[samples])
    write_lines(folder, [one, bad])  # type: ignore[list-item]
    words = {
        "report": ["report", str(folder)],
        "compare": ["compare", str(folder), str(folder)],
        "compare --by": ["compare", "--by", "length", str(folder)],
        "status": ["status", str(folder)],
        "list": ["list"],
    }[command]
    code = run_bench.main(words)
    said = capsys.readouterr()
    # one case has no levels, and this run has no plan
    assert code == (2 if command in ("compare --by", "status") else 0), said.err
    if command not in ("status", "list"):
        assert "line 2 is skipped" in said.err


@pytest.mark.parametrize("command", ["report", "compare", "compare --by"])
def test_a_newer_format_is_refused_by_every_command(
    tmp_path: Path, one: dict[str, Any], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    ours, newer = tmp_path / "ours", tmp_path / "newer"
    for folder, changes in ((ours, {}), (newer, {"format": 9, "time": "other"})):
        folder.mkdir()
        write_lines(folder, [one | changes])  # type: ignore[list-item]
    words = {
        "report": ["report", str(newer)],
        "compare": ["compare", str(ours), str(newer)],
        "compare --by": ["compare", "--by", "length", str(newer)],
    }[command]
    assert run_bench.main(words) == 2
    assert "format 9, this version reads up to 2; update" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a": NaN}', '{"a": -Infinity}', '{"a": 1e999}'])
def test_what_is_no_json_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text(line + "\n")
    assert read_job_lines(path) == []
    assert "line 1 is skipped: it is cut short or no JSON" in capsys.readouterr().err


ODD: dict[str, tuple[str, dict[str, Any]]] = {
    "no settings": ("", {"settings": {}}),
    "a length in words": ("settings", {"length": "abc"}),
    "no length": ("settings", {"length": None}),
    "layers in a list": ("settings", {"n_layers": [1, 2]}),
    "layers in an object": ("settings", {"n_layers": {"a": 1}}),
    "a number of an attention": ("settings", {"attention": 3}),
    "measures that are a number": ("settings", {"measures": 5}),
    "an evaluation of nothing": ("quality", {"evaluated_with": {"4": {"a": 1}}}),
    "a number of references": ("quality", {"data": {"reference": 3}}),
    "a peak below zero": ("memory", {"peak_bytes": -1}),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("words", ["report", "compare --by length"])
def test_records_of_odd_settings_and_parts_are_left_out(
    tmp_path: Path,
    one: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    odd: str,
    words: str,
) -> None:
    part, changes = ODD[odd]
    bad = json.loads(json.dumps(one)) | {"case": "other"}
    (bad[part] if part else bad).update(changes)
    write_lines(tmp_path, [one, bad])  # type: ignore[list-item]
    code = run_bench.main([*words.split(), str(tmp_path)])
    said = capsys.readouterr().err
    assert code == (0 if words == "report" else 2), said
    assert "line 2 is skipped" in said or "left out" in said or odd == "no settings"


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["report", "mine"], "mine/table.csv"),
        (["report", "mine"], "mine/figures"),
        (["report", "mine", "other"], "index.html"),
        (["compare", "--by", "length", "mine"], "mine/compare_by_length.md"),
    ],
)
def test_a_report_that_cannot_be_written_is_a_sentence(
    tmp_path: Path,
    records: list[Record],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    file: str,
) -> None:
    """A folder where a file should be, or a file for a folder: root too cannot write there."""
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        write_lines(tmp_path / name, [r for r in records if "sequence_length" in r["suites"]])
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr("report.commands.RUNS", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).touch() if file.endswith("figures") else (tmp_path / file).mkdir()
    assert run_bench.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("run_bench.py: cannot write the report into ")
    assert f"{file}: " in line
    assert "what was measured is kept; make room" in line


LONG = "x" * 300


@pytest.mark.parametrize(
    "words",
    [
        *(["status", LONG], ["report", LONG], ["check", LONG], ["compare", LONG, LONG]),
        *(["compare", "--by", "length", LONG], ["compare", f"{LONG}.json", f"{LONG}.json"]),
        *(["ab", LONG], ["run", "layers", "--dry-run", "--data", f"text={LONG}"]),
    ],
)
def test_a_name_that_no_file_can_have_is_a_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run_bench.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{'x' * 100}... is too long for the name of a file" in line
