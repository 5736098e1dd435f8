"""The embedded text is cached, and a missing gensim or file of it is reported."""

import subprocess
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from suites.tasks import enwiki_head, files, load_task
from suites.tasks.files import cache_folder, sha256, write_atomically
from suites.tasks.text import TextTask


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("REFORMER_DATA", raising=False)


@pytest.fixture(scope="module")
def enwiki() -> TextTask:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", "/nonexistent")
        return enwiki_head.load_enwiki_head()


def test_enwiki_head_is_the_wikipedia_dump(enwiki: TextTask) -> None:
    facts = enwiki.describe()
    assert facts["stand_in"] is True
    assert facts["bytes"] == len(enwiki.data) == 6_089_746
    assert facts["splits"] == {"train": 5_480_771, "valid": 304_487, "test": 304_488}
    assert facts["sha256"] == sha256(enwiki.data.tobytes())
    text = enwiki.data.tobytes()
    titles = [text.find(f"<title>{name}</title>".encode()) for name in ("Anarchism", "Autism")]
    assert 0 < titles[0] < titles[1]


def test_damaged_cache_is_repaired_and_used() -> None:
    text = enwiki_head.read_xml()
    (cached,) = cache_folder().iterdir()
    assert cached.read_bytes() == text
    cached.write_bytes(text[:-1] + b"?")
    assert enwiki_head.read_xml() == text
    assert cached.read_bytes() == text


def test_cache_saves_unpacking(monkeypatch: pytest.MonkeyPatch) -> None:
    text = enwiki_head.read_xml()
    monkeypatch.setattr(enwiki_head, "read_bz2", lambda: pytest.fail("unpacked again"))
    assert enwiki_head.read_xml() == text


def test_unwritable_cache_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(enwiki_head.read_xml()) == 6_089_746


def test_gensim_missing_or_damaged_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec: ModuleSpec | None = None
    monkeypatch.setattr(files, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match=r"needs the package gensim.*pip install.*gensim"):
        load_task("enwiki-head")
    spec = ModuleSpec("gensim", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    with pytest.raises(ValueError, match=f"cannot read {tmp_path}.*pip install"):
        load_task("enwiki-head")
    file = tmp_path / enwiki_head.BZ2_PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(b"BZh9 not the text")
    with pytest.raises(ValueError, match=f"{file.name} is damaged.*pip install"):
        load_task("enwiki-head")


def test_loading_does_not_import_gensim() -> None:
    code = (
        "import sys; from suites.tasks import load_task; load_task('enwiki-head');"
        "sys.exit('gensim' in sys.modules)"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_racing_writers_leave_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    contents = [bytes([i]) * 300_000 for i in range(4)]
    write_atomically(path, contents[0])
    stop = threading.Event()

    def write(content: bytes) -> None:
        while not stop.is_set():
            write_atomically(path, content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    seen = {path.read_bytes() for _ in range(200)}
    stop.set()
    for thread in threads:
        thread.join()
    assert seen <= set(contents)
    assert [file.name for file in path.parent.iterdir()] == ["file"]
