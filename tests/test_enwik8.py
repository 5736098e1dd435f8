"""Files and downloads of enwik8 are found, or refused with a sentence, but never replaced."""

import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suites.tasks import load_task
from suites.tasks.enwik8 import Form, load_enwik8
from suites.tasks.files import cache_folder, sha256


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("REFORMER_DATA", raising=False)


@pytest.fixture(scope="module")
def text() -> bytes:
    return np.random.default_rng(8).integers(97, 123, 20_000).astype(np.uint8).tobytes()


@pytest.fixture
def form(text: bytes) -> Form:
    url = "http://127.0.0.1:1/enwik8.zip"  # nobody answers there
    return Form(size=20_000, sha256=sha256(text), train=18_000, valid=900, test=1_000, url=url)


def zip_text(path: Path, text: bytes, member: str = "enwik8") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, text)
    return path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("given", ["file", "folder", "variable", "cache"])
def test_enwik8_is_found(
    zipped: bool,
    given: str,
    text: bytes,
    form: Form,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    folder = cache_folder() if given == "cache" else tmp_path / "data"
    folder.mkdir(parents=True)
    file = folder / ("enwik8.zip" if zipped else "enwik8")
    if zipped:
        zip_text(file, text)
    else:
        file.write_bytes(text)
    if given == "variable":
        monkeypatch.setenv("REFORMER_DATA", str(folder))
    path = {"file": str(file), "folder": str(folder)}.get(given)
    task = load_enwik8(path, form=form)
    assert task.data.tobytes() == text
    assert task.describe()["splits"] == {"train": 18_000, "valid": 900, "test": 1_000}
    assert task.describe()["stand_in"] is False
    (batch,) = task.heldout_batches(99, 10, 10**9)
    assert bytes(batch[0].flatten().tolist()) == text[18_900 : 18_900 + 990]


def truncated(path: Path, text: bytes) -> None:
    path.write_bytes(text[:-1])


def longer(path: Path, text: bytes) -> None:
    path.write_bytes(text + b"?")


def changed(path: Path, text: bytes) -> None:
    path.write_bytes(b"?" + text[1:])


def truncated_zip(path: Path, text: bytes) -> None:
    path.write_bytes(zip_text(path, text).read_bytes()[:-100])


def damaged_zip(path: Path, text: bytes) -> None:
    content = bytearray(zip_text(path, text).read_bytes())
    content[5_000] ^= 0xFF
    path.write_bytes(content)


def short_zip(path: Path, text: bytes) -> None:
    zip_text(path, text[:-1])


def other_zip(path: Path, text: bytes) -> None:
    zip_text(path, text, member="text8")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (truncated, "holds 19,999 bytes"),
        (longer, "holds 20,001 bytes"),
        (changed, "is damaged: its sha256"),
        (truncated_zip, r"holds [\d,]+ bytes"),
        (damaged_zip, "is a damaged zip file"),
        (short_zip, "holds 19,999 bytes"),
        (other_zip, "holds no member enwik8"),
    ],
)
@pytest.mark.parametrize("download", [False, True])
def test_damaged_enwik8_is_one_sentence(
    damage: Any, problem: str, download: bool, text: bytes, form: Form, tmp_path: Path
) -> None:
    file = tmp_path / "enwik8"
    damage(file, text)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=problem) as error:
        load_enwik8(str(tmp_path), download, form)
    assert_tells_what_to_do(str(error.value), str(file))
    assert file.read_bytes() == before


def assert_tells_what_to_do(message: str, path: str) -> None:
    for part in (path, "20,000 bytes", "enwik8.zip", "REFORMER_DATA", "'enwiki-head'"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("given", ["path", "variable", "cache"])
def test_missing_enwik8_names_the_path(
    given: str, form: Form, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = cache_folder() if given == "cache" else tmp_path / "nowhere"
    if given == "variable":
        monkeypatch.setenv("REFORMER_DATA", str(place))
    with pytest.raises(ValueError, match="no enwik8 at") as error:
        load_enwik8(str(place) if given == "path" else None, form=form)
    assert_tells_what_to_do(str(error.value), str(place))


def test_unreadable_enwik8(form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "enwik8").write_bytes(b"")
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(ValueError, match=r"cannot read .*enwik8 .Permission denied"):
        load_enwik8(str(tmp_path), form=form)


def test_the_real_enwik8_is_expected(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "enwik8").write_bytes(text)
    with pytest.raises(ValueError, match="20,000 bytes; expected enwik8 of 100,000,000 bytes"):
        load_task("enwik8", str(tmp_path))
    form = Form()
    assert (form.train, form.valid, form.test) == (89_621_832, 5_000_000, 5_000_000)


class Server:
    """Serve `answer` from a web server on this machine; None sends 404."""

    def __init__(self, answer: bytes | None, promised: int | None = None) -> None:
        self.n_requests = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.n_requests += 1
                if answer is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(promised or len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/enwik8.zip"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))

    def __enter__(self) -> "Server":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def at(url: str, form: Form) -> Form:
    sizes = {name: getattr(form, name) for name in ("size", "sha256", "train", "valid", "test")}
    return Form(url=url, **sizes)


@pytest.mark.parametrize("given", ["path", "variable", "cache"])
def test_download(
    given: str, text: bytes, form: Form, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = cache_folder() if given == "cache" else tmp_path / "new" / "folder"
    if given == "variable":
        monkeypatch.setenv("REFORMER_DATA", str(folder))
    path = str(folder) if given == "path" else None
    with Server(zip_text(tmp_path / "z", text).read_bytes()) as server:
        form = at(server.url, form)
        with pytest.raises(ValueError, match="no enwik8 at"):
            load_enwik8(path, form=form)
        assert server.n_requests == 0
        assert load_enwik8(path, download=True, form=form).data.tobytes() == text
        assert load_enwik8(path, download=True, form=form).data.tobytes() == text
        assert server.n_requests == 1
    assert load_enwik8(path, form=form).data.tobytes() == text
    assert [file.name for file in folder.iterdir()] == ["enwik8"]


@pytest.mark.parametrize("failure", ["404", "cut off", "another file", "nobody answers"])
def test_failed_download_leaves_nothing(
    failure: str, text: bytes, form: Form, tmp_path: Path
) -> None:
    zipped = zip_text(tmp_path / "z", text).read_bytes()
    answer = {"404": None, "cut off": zipped[:9_000], "another file": b"<html>"}.get(failure)
    with Server(answer, promised=len(zipped) if failure == "cut off" else None) as server:
        url = form.url if failure == "nobody answers" else server.url
        with pytest.raises(ValueError) as error:
            load_enwik8(str(tmp_path / "data"), download=True, form=at(url, form))
    assert_tells_what_to_do(str(error.value), url)
    assert not (tmp_path / "data").exists()


def test_download_into_an_unwritable_folder(text: bytes, form: Form, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Server(zip_text(tmp_path / "z", text).read_bytes()) as server:
        with pytest.raises(ValueError, match=r"could not fetch .* to .*file/data/enwik8"):
            load_enwik8(str(tmp_path / "file" / "data"), download=True, form=at(server.url, form))
