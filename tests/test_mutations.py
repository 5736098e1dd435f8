"""The faults that mutations.py plants by hand can still be planted: their texts are there, once."""

import ast
from pathlib import Path

import mutants
import mutations
import pytest
from mutants.fault import Fault
from source_files import ROOT

FAULTS = [fault for group in mutants.GROUPS.values() for fault in group.FAULTS]


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{f.file}: {f.why}" for f in FAULTS])
def test_a_fault_can_be_planted_in_one_place_and_is_still_python(fault: Fault) -> None:
    text = (ROOT / fault.file).read_text()
    planted = mutations.planted(text, fault)
    assert ast.dump(ast.parse(planted)) != ast.dump(ast.parse(text)), "it changes nothing"


def test_there_are_forty_faults_and_at_least_five_of_each_kind() -> None:
    assert len({(fault.file, fault.old, fault.new) for fault in FAULTS}) == len(FAULTS) >= 40
    for name, group in mutants.GROUPS.items():
        assert len(group.FAULTS) >= 5, name
        assert all((ROOT / test).exists() for test in group.TESTS), name


@pytest.mark.parametrize("text", ["a = 1\n", "b = 1\nb = 1\n"])
def test_a_text_that_is_not_there_exactly_once_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="exactly once"):
        mutations.planted(text, Fault("a.py", "b = 1", "b = 2", "planted"))


@pytest.mark.parametrize(
    ("output", "code", "expected"),
    [
        ("FAILED tests/a.py::test_b[1 - 2] - assert 1 == 2\n", 1, "tests/a.py::test_b[1 - 2]"),
        ("FAILED tests/a.py::test_b\n", 1, "tests/a.py::test_b"),
        ("ERROR tests/a.py::test_c - OSError: no\n", 1, "tests/a.py::test_c (an error)"),
        ("3 passed\n", 0, ""),
    ],
)
def test_the_test_that_saw_a_fault_is_named(output: str, code: int, expected: str) -> None:
    assert mutations.seen_by(output, code) == expected


@pytest.mark.parametrize(
    ("output", "code"), [("ERROR tests/a.py - ImportError\n", 2), ("no tests ran\n", 5)]
)
def test_tests_that_could_not_run_have_seen_nothing(output: str, code: int) -> None:
    with pytest.raises(RuntimeError, match="could not run"):
        mutations.seen_by(output, code)


def test_a_copy_has_all_that_the_tests_need_and_is_no_working_tree(tmp_path: Path) -> None:
    copy = mutations.copy_project(tmp_path / "copy")
    assert (copy / "suites/engine/measure/training.py").exists()
    assert (copy / "tests/conftest.py").exists()
    assert (copy / "pyproject.toml").exists()
    assert not (copy / ".git").exists()
