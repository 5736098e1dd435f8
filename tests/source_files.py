"""The sources that the tests of the structure read."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("reformer", "baselines", "suites", "report")
OURS = (*PACKAGES, "run_bench")


def python_files(*folders):
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert found, f"no files in {folders}"
    return sorted([*found, ROOT / "run_bench.py"])


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def imports(path, text=None):
    """(line, module) of everything imported, anywhere in the file, or in `text` in its place."""
    for node in ast.walk(ast.parse(path.read_text() if text is None else text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: imports are absolute here"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield node.lineno, full if is_module(full) else node.module


def is_module(dotted):
    path = ROOT / dotted.replace(".", "/")
    return dotted.split(".")[0] in OURS and (path.with_suffix(".py").exists() or path.is_dir())
