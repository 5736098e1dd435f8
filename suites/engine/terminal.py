"""Tables and sentences are laid out for a terminal: in 80 columns where there is none. No torch."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from io import StringIO

WIDTH = 80
INDENT, BETWEEN = "    ", "  "


def width_of_terminal() -> int:
    """Return the columns of the terminal that the output goes to; WIDTH in a pipe or a file."""
    if not sys.stdout.isatty():
        return WIDTH
    return shutil.get_terminal_size((WIDTH, 24)).columns


def table_text(head: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> str:
    """Lay out a table as plain text of at most `width` columns.

    Cells are wrapped between words; where even words are too wide, each row is a paragraph, headed
    by its first cell. What cannot be printed is told as "?".
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    columns = zip(head, *rows, strict=True)
    least = [max((len(w) for cell in c for w in cell.split()), default=1) for c in columns]
    if sum(least) + len(BETWEEN) * (len(least) - 1) > width:
        return _paragraphs(head, rows, width)
    from rich.box import Box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    plain = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    # the box has one column between cells, the padding the other
    table = Table(box=plain, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name, words in zip(head, least, strict=True):
        table.add_column(Text(name), min_width=words)
    for row in rows:
        table.add_row(*map(Text, row))
    out = StringIO()
    console = Console(file=out, width=width, color_system=None, legacy_windows=False)
    if Measurement.get(console, console.options.update(max_width=10**4), table).maximum > width:
        table.leading = 1  # rows of several lines are told apart
    console.print(table, crop=False)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    if max(map(len, lines)) > width:
        return _paragraphs(head, rows, width)
    return "\n".join(lines) + "\n"


def _paragraphs(head: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> str:
    told = []
    for first, *cells in rows:
        values = [f"{name}: {cell}" for name, cell in zip(head[1:], cells, strict=True) if cell]
        told.append(textwrap.fill(f"{head[0]}: {first}", width))
        told.append(
            textwrap.fill("; ".join(values), width, initial_indent=INDENT, subsequent_indent=INDENT)
        )
    return "\n".join(told) + "\n"


def wrapped(text: str, width: int) -> str:
    """Wrap each line of a text between words."""
    lines = map(printable, text.splitlines())
    return "\n".join(textwrap.fill(line, width, break_on_hyphens=False) for line in lines)


def printable(text: str) -> str:
    """Replace what cannot be printed, such as escape sequences of a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
