"""What is printed fits a terminal of 80 columns, and loses nothing in it."""

import os
import pty
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from suites.engine.terminal import WIDTH, table_text, width_of_terminal, wrapped

SCRIPT = Path(__file__).parent / "bench.py"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def words_of(text: str) -> list[str]:
    return sorted(re.findall(r"[a-z0-9]+", text))


@pytest.mark.parametrize("n_columns", [1, 2, 5, 9, 14])
@pytest.mark.parametrize("longest", [3, 12, 25])
def test_a_table_of_any_size_fits_and_says_everything(n_columns: int, longest: int) -> None:
    draw = random.Random(n_columns * longest)

    def cell() -> str:
        lengths = [draw.randint(1, longest) for _ in range(draw.randint(1, 5))]
        return " ".join("".join(draw.choices("abcdef0123", k=n)) for n in lengths)

    head = [cell() for _ in range(n_columns)]
    rows = [[cell() for _ in range(n_columns)] for _ in range(4)]
    text = table_text(head, rows, WIDTH)
    assert max(map(len, text.splitlines())) <= WIDTH
    cells = words_of(" ".join(" ".join(row) for row in rows))
    assert Counter(cells) - Counter(words_of(text)) == Counter()


def test_a_long_word_beside_a_long_cell_loses_nothing() -> None:
    rows = [["w" * 60 + " and more", " ".join(["tenletters"] * 7)]]
    text = table_text(("one", "other"), rows, WIDTH)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.count("tenletters") == 7


def test_a_small_table_has_a_line_for_each_row() -> None:
    text = table_text(("what", "a step"), [("LSH-4", "8 ms"), ("sdpa, length 64", "12 ms")], WIDTH)
    assert text.splitlines() == [
        "what             a step",
        "-----------------------",
        "LSH-4            8 ms",
        "sdpa, length 64  12 ms",
    ]


def test_what_a_terminal_would_obey_is_shown_as_text() -> None:
    text = table_text(("what",), [("\x1b[31mred\x07[bold]x[/bold]",)], WIDTH)
    assert text.splitlines()[-1] == "?[31mred?[bold]x[/bold]"
    assert wrapped("one\ntwo\x1b[2J", WIDTH) == "one\ntwo?[2J"


def test_a_pipe_has_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert not sys.stdout.isatty()
    assert width_of_terminal() == WIDTH


def seen_in_a_terminal(*words: str, **variables: str) -> str:
    """Run a command in a terminal of 80 columns and return what it wrote there."""
    leader, follower = pty.openpty()
    subprocess.run(["stty", "cols", "80", "rows", "24"], stdin=follower, check=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, SCRIPT, *words],
        **dict.fromkeys(("stdin", "stdout", "stderr"), follower),  # type: ignore[call-overload]
        env=environment | variables,
    )
    os.close(follower)
    pieces = []
    while True:
        try:
            pieces.append(os.read(leader, 65536))
        except OSError:  # how Linux tells that the other end was closed
            break
    os.close(leader)
    assert process.wait() == 0, b"".join(pieces).decode()
    return b"".join(pieces).decode()


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{"TERM": "xterm"}, {"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_run_shows_what_it_measures_in_80_columns(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    """The kind and case, the value when it is done, done and left, and a table at the end."""
    runs = {"REFORMER_RUNS": str(tmp_path)}
    seen = seen_in_a_terminal("run", "tiny", **{"TERM": "xterm", **runs, **variables})
    if variables.get("TERM") == "dumb":
        assert "\x1b" not in seen
    if "NO_COLOR" in variables:
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", seen), "no colour was asked for"
    plain = ESCAPES.sub("", seen).replace("\r\n", "\n")
    assert re.search(r"time 1/\d+: .*: [\d.]+ ms a step", plain)
    assert "left" in plain
    lines = [line for part in plain.split("\n") for line in part.split("\r")]
    table = lines[lines.index(next(line for line in lines if line.startswith("what "))) :]
    assert re.search(r"[\d.]+ ms +[\d.]+ MiB", "\n".join(table))
    if variables.get("TERM") != "dumb":
        # but for reasons of failures, which the terminal wraps
        assert max(len(line) for line in lines if not line.startswith("  skipped")) <= WIDTH
