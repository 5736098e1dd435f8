"""The command line: list, run, status, report, compare, check, ab, doctor (each has --help).

Only the standard library is imported here: every measuring process imports this file again. An
older Python must be able to read this file, to be told so.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from math import inf, nan
from pathlib import Path
from typing import Any, NoReturn

# Before anything that an older Python cannot read: what is imported above, every Python 3 has.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.stderr.write(
        "run_bench.py: this is Python {}.{}, and Python 3.11 or newer is needed; make the virtual "
        "environment with that: python3.11 -m venv .venv\n".format(*sys.version_info)
    )
    sys.exit(2)

ROOT = Path(__file__).resolve().parent
USER_ERROR = 2
INTERRUPTED, BROKEN_PIPE = 130, 141  # as shells say it


class Parser(argparse.ArgumentParser):
    """One sentence and exit code 2 on an error, naming the nearest legal word."""

    def error(self, message: str) -> NoReturn:
        """Print the sentence and leave."""
        print(f"run_bench.py: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(USER_ERROR)

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is None or value in action.choices:
            return
        legal = [str(choice) for choice in action.choices]
        near = get_close_matches(str(value), legal, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        name = "/".join(action.option_strings) or action.dest
        raise argparse.ArgumentError(
            None, f"unknown {name} {value!r}; {hint}legal: {', '.join(legal)}"
        )


def make_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(prog="run_bench.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, help: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help, allow_abbrev=False)

    command("list", "every suite: its question, cases per preset, time measured last")
    run = command("run", "measure what a run lacks, all suites if none is named")
    add_measuring_options(run)
    run.add_argument("--prune", action="store_true", help="skip what ran out of memory when longer")
    at_once = "how many run at once, sharing the memory (default: one a core; on a GPU one)"
    run.add_argument("--trainings", type=int, metavar="N", help=at_once)
    run.add_argument("--dry-run", action="store_true", help="cases, predicted time and memory")
    curves = "learning curves for TensorBoard besides (extra tensorboard)"
    run.add_argument("--tensorboard", action="store_true", help=curves)
    models = "with --dry-run: predicted times of a step there"
    run.add_argument("--device-model", choices=("h100", "h200", "a100", "cpu"), help=models)
    run.add_argument("--in-turns", help=argparse.SUPPRESS)  # how ab starts it
    status = command("status", "done, failed and why, left, time left")
    status.add_argument("name", nargs="?", help="the run (default: the last)")
    report = command("report", "tables, figures and index.html of runs")
    report.add_argument("names", nargs="*", metavar="NAME", help="runs (default: the last)")
    report.add_argument("--mixed", action="store_true", help="allow different machines together")
    styles = "paper: figures as PDF at a paper's width besides, into figures-paper/"
    report.add_argument("--style", choices=("page", "paper"), default="page", help=styles)
    compare = command("compare", "two runs, or with --by the levels of one setting in one run")
    files = "one run with --by, else two runs, or two .json files of pytest-benchmark"
    compare.add_argument("names", nargs="*", metavar="NAME", help=files)
    compare.add_argument("--by", metavar="FACTOR", help="a setting, such as n_rounds")
    compare.add_argument(
        "--threshold",
        type=positive,
        metavar="PERCENT",
        help="times that differ by less are the same (default: 3); not of memory and bits per dim",
    )
    compare.add_argument("--mixed", action="store_true", help="allow different machines")
    check = command("check", "the claims of README: holds, fails or inconclusive by the records")
    where = "runs, or folders of runs (default: results/reference)"
    check.add_argument("names", nargs="*", metavar="NAME", help=where)
    check.add_argument("--table", action="store_true", help="the table of answers, as Markdown")
    ab = command("ab", "two checkouts measured in turns, process by process, and compared")
    ab.add_argument("other", metavar="OTHER_CHECKOUT", help="the folder of the code before")
    add_measuring_options(ab)
    fixed = "of each timing on both sides (default: 6, an even number: each side is first in half)"
    ab.add_argument("--processes", type=int, default=6, metavar="N", help=fixed)
    command("doctor", "the machine, its fitness for timing, and a self-test of the ruler")
    return parser


def positive(text: str) -> float:
    """Read a positive number; anything else is refused in a sentence."""
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not 0 < value < inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number, such as 3 for 3 %")
    return value


def given(text: str) -> str:
    """Read a name; an empty one, as of an unset variable, is refused."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; name a run, or leave the option out")
    return text


def add_measuring_options(command: argparse.ArgumentParser) -> None:
    """Add what `run` and `ab` can be asked to measure."""

    def pairs(form: str, help: str) -> dict[str, Any]:
        return {"nargs": "+", "action": "extend", "default": [], "metavar": form, "help": help}

    add = command.add_argument
    add("suites", nargs="*", metavar="SUITE", help="see: run_bench.py list")
    add("--preset", choices=("quick", "cpu", "gpu", "paper"), default="quick")
    add("--run", type=given, metavar="NAME", help="folder in results/runs (default: the preset)")
    add("--where", **pairs("KEY=VALUE", "only cases with these settings"))
    add("--set", **pairs("KEY=VALUE", "change settings of all cases, such as d_model=512"))
    add("--data", **pairs("NAME=PATH", "your own text=FILE, enwik8=PATH, imagenet64=FOLDER"))
    add("--download", action="store_true", help="fetch missing public data")
    add("--seeds", type=int, metavar="N", help="default: 1 at quick, 3 otherwise")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--timeout", type=float, metavar="S", help="seconds a process may take")
    statuses = "oom,timeout,crash,diverged,skipped,disturbed"
    add("--retry", default="", metavar="STATUS,...", help=f"try again: {statuses}")


def command_of(name: str) -> Callable[[argparse.Namespace], int]:
    """The function behind a command; only what it needs is imported."""
    if name == "ab":
        return ab
    if name in ("report", "compare", "check"):
        from report.commands import COMMANDS
    else:
        from suites.engine.commands import COMMANDS
    return COMMANDS[name]


def ab(options: argparse.Namespace) -> int:
    """Measure two checkouts in turns, and compare: here the engine and the report meet."""
    from report.commands import compare_pair
    from suites.engine.commands import measure_pair

    return compare_pair(*measure_pair(options))


def import_our_own() -> None:
    """Import from the folder of this file first, and from the one we stand in last.

    PYTHONPATH, PYTHONSAFEPATH and an installed other checkout would else decide whose code runs.
    """
    here = {"", "."}
    with suppress(OSError):  # the folder may be gone
        here |= {str(Path().absolute()), str(Path().resolve())}
    here.discard(str(ROOT))
    others = [entry for entry in sys.path if entry not in here and entry != str(ROOT)]
    last = [entry for entry in sys.path if entry in here][:1]
    sys.path[:] = [str(ROOT), *others, *last]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code. What a person can mend is one sentence and exit code 2."""
    import_our_own()
    open_standard_streams()
    options = argparse.Namespace(command="")
    try:
        try:
            make_parser().parse_args(arguments, options)
            return command_of(options.command)(options)
        finally:
            # here, where what goes wrong with it is caught
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("run_bench.py: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        leave_unwritten()
        # whoever read the output has seen enough; a sweep that ends early is no success
        return BROKEN_PIPE if options.command in ("run", "ab") else 0
    except (ValueError, OSError) as error:
        sentence = " ".join(str(error).split())
        print(f"run_bench.py: {sentence}", file=sys.stderr)
        leave_unwritten()
        return USER_ERROR


def leave_unwritten() -> None:
    """Let output that cannot be written go nowhere, or Python would complain of it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def open_standard_streams() -> None:
    """Put nothing in place of streams that are closed: files opened later would take their place.

    What a terminal cannot show is written with escapes, and is no error.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
