"""A figure becomes part of a page: its SVG is put inline, small, and with ids of its own."""

import re
from html import escape
from pathlib import Path

TAG = re.compile(r"<[^>]*>")
NUMBER = re.compile(r"-?\d+\.\d{3,}")
ID = re.compile(r'\bid="([^"]+)"')
REFERENCE = re.compile(r'(url\(#|href="#)([^)"]+)')


def shortened(number: re.Match[str]) -> str:
    """Round a coordinate to a hundredth of a point."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def inline_svg(path: Path, title: str) -> str:
    """Return the SVG of a figure for use inside HTML, as wide as its place.

    title: its name, for those who cannot see it.

    Ids are told apart from those of other figures by run and file, those that nothing refers to are
    left out; coordinates are rounded to a hundredth of a point.
    """
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # only within tags: what a figure says in numbers stays as it is
    text = TAG.sub(lambda tag: NUMBER.sub(shortened, tag[0]), text)
    prefix = re.sub(r"\W", "-", f"{path.parent.parent.name}-{path.stem}")
    used = {name for _, name in REFERENCE.findall(text)}
    text = ID.sub(lambda found: f'id="{prefix}-{found[1]}"' if found[1] in used else "", text)
    text = REFERENCE.sub(rf"\1{prefix}-\2", text)
    text = re.sub(r">\s+<", "><", text)
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(width|height|xmlns(:\w+)?|version)="[^"]*"', "", head)
    name = escape(title, quote=True)
    return (
        f'{head} role="img" aria-label="{name}" xmlns:xlink="http://www.w3.org/1999/xlink">{rest}'
    )
