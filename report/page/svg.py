"""A figure becomes part of a page: its SVG is put inline, small, and with ids of its own.

Its title, which states the finding, and its caption become words of the page: on a phone those of
the figure are too small to read, or out of sight.
"""

import re
from html import escape, unescape
from pathlib import Path
from typing import NamedTuple

from report.figures.style import CAPTION_ID, TITLE_ID

TAG = re.compile(r"<[^>]*>")
NUMBER = re.compile(r"-?\d+\.\d{3,}")
ID = re.compile(r'\bid="([^"]+)"')
REFERENCE = re.compile(r'(url\(#|href="#)([^)"]+)')
WORDS = {
    name: re.compile(rf'<g id="{name}">(.*?)</g>', re.DOTALL) for name in (TITLE_ID, CAPTION_ID)
}
LINE = re.compile(r'transform="[^"]* (\S+)\)"[^>]*>([^<]*)<')  # its height and its words
VIEW_BOX = re.compile(r'viewBox="0 0 (\S+) (\S+)"')
# Points that letters of a title reach below their line, and those of a caption above theirs.
BELOW, ABOVE = 5.0, 8.0


class Inline(NamedTuple):
    """A figure on a page: its SVG without title and caption, and what these say, "" without one."""

    finding: str
    svg: str
    caption: str


def shortened(number: re.Match[str]) -> str:
    """Round a coordinate to a hundredth of a point."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def inline_svg(path: Path, name: str) -> Inline:
    """Return a figure for use inside HTML, as wide as its place, without title and caption.

    name: for those who cannot see it.

    Ids are told apart from those of other figures by run and file, those that nothing refers to are
    left out; coordinates are rounded to a hundredth of a point.
    """
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    finding, caption, text = without_words(text)
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
    return Inline(finding, f'{head} role="img" aria-label="{label}" {xlink}>{rest}', caption)


def without_words(svg: str) -> tuple[str, str, str]:
    """Take title and caption out of an SVG, and cut off where they were.

    Return what each says, and the rest.
    """
    box = VIEW_BOX.search(svg)
    if not box:
        return "", "", svg
    top, bottom = 0.0, float(box[2])
    told = dict.fromkeys(WORDS, "")
    for name, pattern in WORDS.items():
        found = pattern.search(svg)
        lines = LINE.findall(found[1]) if found else []
        if found and lines:
            svg = svg[: found.start()] + svg[found.end() :]
            told[name] = unescape(" ".join(words for _, words in lines))
            if name == TITLE_ID:
                top = float(lines[-1][0]) + BELOW
            else:
                bottom = float(lines[0][0]) - ABOVE
    new = f'viewBox="0 {top:g} {box[1]} {bottom - top:g}"'
    return told[TITLE_ID], told[CAPTION_ID], VIEW_BOX.sub(new, svg, count=1)
