"""The cache may be damaged, missing or forbidden: what lies there is checked, and made anew."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reformer.kernels import native
from reformer.kernels.native import build
from suites.tasks import enwiki_head, load_task
from suites.tasks.files import cache_folder, expanded

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "" if native.unavailable() else build.load()._name
needs_compiler = pytest.mark.skipif(bool(native.unavailable()), reason=native.unavailable())


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Give an empty cache and a compiler that copies a library; afterwards all is as it was."""

    def forget() -> None:
        build.load.cache_clear()
        native.unavailable.cache_clear()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", str(compiler(tmp_path / "a compiler")))
    monkeypatch.setattr(build.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def compiler(path: Path) -> Path:
    """Write a program that stands in for the compiler: it copies the library in a moment."""
    path.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, shutil, sys\n"
        "if '-dumpfullversion' in sys.argv:\n"
        "    sys.exit(print('1.2.3'))\n"
        f"with open({str(path.parent / 'calls')!r}, 'a') as calls:\n"
        "    calls.write(' '.join(sys.argv[1:]) + '\\n')\n"
        f"shutil.copy({LIBRARY!r}, sys.argv[sys.argv.index('-o') + 1])\n"
    )
    path.chmod(0o755)
    return path


def n_compiled(folder: Path) -> int:
    calls = folder / "calls"
    return len(calls.read_text().splitlines()) if calls.exists() else 0


DAMAGE = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
    "zeros at the end": lambda content: content[:-4096] + bytes(4096),
    "a flipped bit": lambda content: content[:5000] + b"?" + content[5001:],
    "of another program": lambda content: b"text",
}


@needs_compiler
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_library_is_compiled_again(fresh: Path, damage: str) -> None:
    path = build.library()
    assert (n_compiled(fresh), build.library()) == (1, path), "compiled once"
    # in its place, as damage happens: what this process has mapped stays whole
    broken = fresh / "broken"
    broken.write_bytes(DAMAGE[damage](path.read_bytes()))
    shutil.move(broken, path)
    again = subprocess.run(
        [sys.executable, "-c", "from reformer.kernels import native; print(native.unavailable())"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (again.returncode, again.stdout.strip()) == (0, ""), again.stderr
    assert n_compiled(fresh) == 2
    assert build.is_whole(path)


@needs_compiler
def test_a_library_damaged_within_a_sweep_is_an_error_of_the_job(fresh: Path) -> None:
    path = fresh / "pinned.so"
    path.write_bytes(bytes(5000))
    build.pin(path)
    try:
        with pytest.raises(build.Unavailable, match="damaged or gone"):
            build.load()
    finally:
        build._pinned.clear()


@needs_compiler
@pytest.mark.parametrize("cache", ["a file", "no home", "relative", "a folder in its place"])
def test_without_a_cache_the_library_lies_among_temporary_files(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    if cache == "a file":
        (fresh / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(fresh / "file"))
    elif cache == "a folder in its place":
        name = build.library().name
        (fresh / "cache/reformer-bench" / name).unlink()
        (fresh / "cache/reformer-bench" / name).mkdir()
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", "" if cache == "no home" else "relative")
        monkeypatch.setattr(build.Path, "home", classmethod(no_home))
    path = build.library()
    assert path.is_relative_to(fresh / "temporary")
    assert path.parent.stat().st_mode & 0o077 == 0
    assert native.unavailable() == ""


def no_home(cls: type) -> Path:
    raise RuntimeError("Could not determine home directory.")


@needs_compiler
def test_nothing_is_loaded_that_another_user_may_have_put_there(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fresh / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh / "file"))
    shared = fresh / "temporary" / f"reformer-bench-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    assert "cannot write" in native.unavailable()


@needs_compiler
@pytest.mark.parametrize("form", ["with a launcher", "with options", "with spaces"])
def test_the_compiler_may_be_more_than_a_word(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    plain = compiler(fresh / "g+")
    launcher = fresh / "launcher"
    launcher.write_text('#!/bin/sh\nexec "$@"\n')
    launcher.chmod(0o755)
    words = {"with a launcher": f"{launcher} {plain}", "with options": f"{plain} -m64"}
    monkeypatch.setenv("CXX", words.get(form, str(fresh / "a compiler")))
    assert native.unavailable() == ""
    assert build.compiler_version().endswith("1.2.3")
    assert n_compiled(fresh) == 1
    assert (fresh / "calls").read_text().startswith("-m64 -std" if "opt" in form else "-std")


@pytest.mark.parametrize("name", ["no-such-compiler", "'open quote", "no such words"])
def test_a_compiler_that_is_none_is_a_reason(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("CXX", name)
    assert "CXX" in native.unavailable()
    assert build.compiler_version() == "none"


def test_text_and_cache_do_without_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("suites.tasks.files.Path.home", classmethod(no_home))
    monkeypatch.setattr("suites.tasks.files.tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / f"reformer-bench-{os.getuid()}"
    assert len(load_task("enwiki-head").data) == 6_089_746  # type: ignore[attr-defined]
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / f"reformer-bench-{os.getuid()}"


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "empty", "a dangling link"])
def test_text_is_unpacked_again_whatever_lies_in_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = enwiki_head.read_xml()
    (cached,) = cache_folder().iterdir()
    cached.unlink()
    make = {
        "a pipe": lambda: os.mkfifo(cached),
        "a folder": cached.mkdir,
        "empty": cached.touch,
        "a dangling link": lambda: cached.symlink_to(tmp_path / "nowhere"),
    }
    make[kind]()
    assert enwiki_head.read_xml() == text
    assert kind == "a folder" or cached.read_bytes() == text


def test_the_home_of_nobody_is_a_path_like_any_other() -> None:
    assert expanded("~no-such-user/text") == Path("~no-such-user/text")
    with pytest.raises(ValueError, match="cannot read the text in ~no-such-user/text"):
        load_task("text", "~no-such-user/text")


@needs_compiler
def test_a_whole_library_ends_with_its_checksum(fresh: Path) -> None:
    path = build.library()
    assert build.is_whole(path)
    assert ctypes.CDLL(str(path)).forward_float
    assert [file.name for file in path.parent.iterdir()] == [path.name], "one file, whole or none"
