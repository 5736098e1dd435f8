"""What decides a number is part of its identity, also where the settings do not name it."""

from pathlib import Path

import pytest

from suites.engine.measure.device import open_device
from suites.engine.measure.machine import LIMITS, identity
from suites.engine.measure.versions import version_of_attention

ATTEND = "def attend(q, k, v, scale, exclude_self):\n    return v\n"


def test_the_version_of_ones_own_attention_is_that_of_its_whole_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package may hand on what one of its files has, and that use another file's."""
    package = tmp_path / "handed_on"
    package.mkdir()
    (package / "__init__.py").write_text("from handed_on.code import attend\n")
    (package / "code.py").write_text(ATTEND)
    (package / "unused.txt").write_text("no code")
    (tmp_path / "one_file.py").write_text("from handed_on import attend\n")
    monkeypatch.syspath_prepend(tmp_path)
    names = ("handed_on:attend", "handed_on.code:attend", "one_file:attend")
    before = [version_of_attention(name) for name in names]
    assert before[0] == before[1] != before[2]
    (package / "unused.txt").write_text("other words")
    assert [version_of_attention(name) for name in names] == before
    (package / "code.py").write_text(f"{ATTEND}# edited\n")
    assert not {*before} & {version_of_attention(name) for name in names}


@pytest.mark.parametrize("name", LIMITS)
def test_what_limits_libraries_is_part_of_the_identity(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    without = identity(open_device("cpu"))
    assert name not in without
    monkeypatch.setenv(name, "1")
    assert identity(open_device("cpu")) == {**without, name: "1"}
