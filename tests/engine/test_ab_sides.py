"""How one of the two sweeps of the command ab ends is told in a sentence, and never missed."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from suites.engine.store.runs import RunFolder
from suites.engine.sweep import pair
from suites.engine.sweep.executors.in_turns import PROTOCOL
from suites.engine.sweep.pair import Side

PROGRAM = f"""
import json, os, socket, sys
from pathlib import Path
sockets = sys.argv[sys.argv.index("--in-turns") + 1].split(",")
lines = socket.socket(fileno=int(sockets[0])).makefile("rw")
root = str(Path(__file__).parent)
greeting = {{"protocol": {PROTOCOL}, "root": root, "code": {{"hash": "1"}}}}

def tell(message):
    print(json.dumps(message), file=lines, flush=True)

"""
GREETS = "tell(greeting)\nlines.readline()\n"


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Side]:
    made = Side("other", tmp_path, RunFolder(tmp_path / "x-other"))
    yield made
    made.stop()


def start(side: Side, body: str) -> None:
    (side.root / "run_bench.py").write_text(PROGRAM + body)
    side.start(["run"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("tell(greeting | {'protocol': 0})", "takes turns in another way than this"),
        ("del greeting['protocol']; tell(greeting)", "takes turns in another way than this"),
        ("tell(greeting | {'root': '/main'})", "runs code in /main"),
        ("import nothing_like_it", "exit code 1, and said last: ModuleNotFoundError: No module"),
        ("sys.exit('run_bench.py: there is no such suite')", "go on: there is no such suite$"),
        ("os.kill(os.getpid(), 9)", "exit code -9, and said last: nothing"),
        ("tell({'finished': 130})", "exit code 0"),
    ],
)
def test_a_sweep_that_cannot_start_is_a_sentence(side: Side, body: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        start(side, body)
    assert str(side.root) in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "exit code 0"),
        ("sys.exit('run_bench.py: the disk is full')", "go on: the disk is full$"),
        ("os.kill(os.getpid(), 9)", "exit code -9"),
        ("tell({'finished': 130})", "exit code 0"),
        ("tell({'finished': 0})", ""),
        ("print('done'); tell({'finished': 1}); sys.exit(1)", ""),
    ],
)
@pytest.mark.parametrize("pause_s", [0.0, 0.5])
def test_a_sweep_that_ends_is_told_from_one_that_is_lost(
    side: Side, body: str, said: str, pause_s: float
) -> None:
    """Also where its last words and its end are both there before anyone looks."""
    start(side, GREETS + body)
    side.tell({"cases": []})
    time.sleep(pause_s)
    if not said:
        assert side.heard() is None
        return
    with pytest.raises(ValueError, match=said):
        side.heard()


def test_a_sweep_that_was_killed_while_it_waited_is_told(side: Side) -> None:
    start(side, GREETS)
    assert side.process is not None
    side.process.send_signal(signal.SIGKILL)
    side.process.wait()
    side.tell({"cases": []})
    with pytest.raises(ValueError, match="exit code -9"):
        side.heard()


def test_what_it_prints_comes_before_what_it_asks_next(
    side: Side, capsys: pytest.CaptureFixture[str]
) -> None:
    start(side, GREETS + "print('one\\ntwö', flush=True)\ntell({'job': 1})\nlines.readline()")
    side.tell({"cases": []})
    assert side.heard() == {"job": 1}
    assert capsys.readouterr().out == "other | one\nother | twö\n"


def test_stopping_ends_a_sweep_that_listens_to_nothing(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair, "GRACE_S", 0.3)
    deaf = "import signal, time\nsignal.signal(2, signal.SIG_IGN)\ntell(greeting)\ntime.sleep(60)"
    start(side, deaf)
    process = side.process
    side.stop()
    assert process is not None
    assert process.returncode == -signal.SIGKILL


def test_measurements_of_other_code_under_the_same_name_are_refused(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side.folder, "records", lambda: [{"code": {"hash": "2"}}])
    with pytest.raises(ValueError, match=r"holds measurements of code 2, in .* is now 1"):
        start(side, GREETS)
