"""A figure becomes part of a page: its SVG is put inline, small, and with ids of its own.

Its title, which states the finding, becomes words of the page: on a phone those of the figure are
too small to read.
"""

import re
from html import escape, unescape
from pathlib import Path
from typing import NamedTuple

from report.figures.style import TITLE_ID

TAG = re.compile(r"<[^>]*>")
NUMBER = re.compile(r"-?\d+\.\d{3,}")
ID = re.compile(r'\bid="([^"]+)"')
REFERENCE = re.compile(r'(url\(#|href="#)([^)"]+)')
TITLE = re.compile(rf'<g id="{TITLE_ID}">(.*?)</g>', re.DOTALL)
LINE = re.compile(r'transform="[^"]* (\S+)\)"[^>]*>([^<]*)<')  # its height and its words
VIEW_BOX = re.compile(r'viewBox="0 0 (\S+) (\S+)"')
BELOW = 5.0  # points that letters of a title reach below their line


class Inline(NamedTuple):
    """A figure on a page: its finding, "" if it has no title, and its SVG without the title."""

    finding: str
    svg: str


def shortened(number: re.Match[str]) -> str:
    """Round a coordinate to a hundredth of a point."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def inline_svg(path: Path, name: str) -> Inline:
    """Return a figure for use inside HTML, as wide as its place, and cut off above without title.

    name: for those who cannot see it.

    Ids are told apart from those of other figures by run and file, those that nothing refers to are
    left out; coordinates are rounded to a hundredth of a point.
    """
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    finding, text = without_title(text)
    # only within tags: what a figure says in numbers stays as it is
    text = TAG.sub(lambda tag: NUMBER.sub(shortened, tag[0]), text)
    prefix = re.sub(r"\W", "-", f"{path.parent.parent.name}-{path.stem}")
    used = {name for _, name in REFERENCE.findall(text)}
    text = ID.sub(lambda found: f'id="{prefix}-{found[1]}"' if found[1] in used else "", text)
    text = REFERENCE.sub(rf"\1{prefix}-\2", text)
    text = re.sub(r">\s+<", "><", text)
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(width|height|xmlns(:\w+)?|version)="[^"]*"', "", head)
    label = escape(name, quote=True)
    xlink = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
    return Inline(finding, f'{head} role="img" aria-label="{label}" {xlink}>{rest}')


def without_title(svg: str) -> tuple[str, str]:
    """Take the title out of an SVG and cut off where it was; return what it says, and the rest."""
    title = TITLE.search(svg)
    lines = LINE.findall(title[1]) if title else []
    if not title or not lines:
        return "", svg
    top = float(lines[-1][0]) + BELOW
    rest = svg[: title.start()] + svg[title.end() :]
    rest = VIEW_BOX.sub(
        lambda box: f'viewBox="0 {top:g} {box[1]} {float(box[2]) - top:g}"', rest, count=1
    )
    return unescape(" ".join(words for _, words in lines)), rest
