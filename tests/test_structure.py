"""The shape of the code: which file may import which, how long things get, who needs no PyTorch."""

import ast
import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("reformer", "baselines", "suites", "report", "run_bench")
FOLDERS = ("reformer", "baselines", "suites", "report", "tests")
CONFIGS = ("reformer.config", "baselines.config")
PEERS = ("reformer_pytorch", "transformers")
DATA = ("numpy", "gensim", "skimage")
SCIENCE = ("numpy", "pandas", "matplotlib", "scipy", "jinja2", "rich")

# The table of DESIGN.md. First the file, as a pattern (the first that fits counts), then what it
# may import besides the standard library.
ARROWS = [
    ("run_bench.py", ["suites.*", "report.*"]),
    ("reformer/__init__.py", ["reformer.*"]),
    ("reformer/config.py", []),
    ("reformer/*", ["torch", "reformer.*"]),
    ("baselines/__init__.py", ["baselines.*"]),
    ("baselines/config.py", ["reformer.config"]),
    (
        "baselines/*",
        [
            "torch",
            *PEERS,
            "baselines.*",
            *(
                f"reformer.{name}"
                for name in (
                    "config",
                    "reversible",
                    "feed_forward",
                    "positions",
                    "loss",
                    "skeleton",
                    "full_attention",
                )
            ),
        ],
    ),
    ("suites/base.py", list(CONFIGS)),
    ("suites/records.py", []),
    ("suites/tasks/*", ["torch", *DATA, "suites.tasks", "suites.tasks.*", "reformer.config"]),
    (
        "suites/engine/*",
        ["torch", "numpy", "psutil", "rich", "pynvml", *OURS[:-1], *(f"{name}.*" for name in OURS)],
    ),
    ("suites/*", ["suites.base", "suites.presets", *CONFIGS]),
    ("report/*", [*SCIENCE, "report.*", "suites.base", "suites.engine.store.records", *CONFIGS]),
]

# Within reformer/ a file imports only from rows above its own (kernels/ also from each other).
FROM_BELOW = [
    ["config"],
    ["hashing", "sorting", "full_attention", "positions", "loss", "reference"],
    ["kernels"],
    ["lsh_attention", "reversible"],
    ["feed_forward"],
    ["skeleton"],
    ["model"],
]

# Function: its number of parameters, and why they are more than 8.
MANY_PARAMETERS: dict[str, str] = {}
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}


def python_files(*folders):
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert found, f"no files in {folders}"
    return sorted([*found, ROOT / "run_bench.py"])


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """(line, module) of everything imported, anywhere in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
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


def allowed(path, module):
    """May this file import this module?"""
    if module.split(".")[0] in sys.stdlib_module_names:
        return True
    patterns = next(names for pattern, names in ARROWS if fnmatch(name_of(path), pattern))
    known = module if module.split(".")[0] in OURS else module.split(".")[0]
    return any(fnmatch(known, pattern) for pattern in patterns)


def wrong_arrows(path):
    return [
        f"{name_of(path)}:{line} imports {module}, against the table in DESIGN.md"
        for line, module in imports(path)
        if not allowed(path, module)
    ]


@pytest.mark.parametrize("path", python_files(*FOLDERS[:-1]), ids=name_of)
def test_arrows_point_as_in_the_table(path):
    wrong = wrong_arrows(path)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("suites/base.py", "torch"),
        ("reformer/config.py", "torch"),
        ("reformer/hashing.py", "suites.base"),
        ("reformer/model.py", "baselines.config"),
        ("baselines/model.py", "reformer.lsh_attention"),
        ("report/table.py", "torch.nn"),
        ("report/table.py", "suites.engine.measure.memory"),
        ("suites/layers.py", "suites.engine.measure.build"),
        ("suites/tasks/text.py", "suites.base"),
        ("run_bench.py", "reformer.config"),
    ],
)
def test_the_arrow_test_sees_wrong_arrows(file, module):
    assert not allowed(ROOT / file, module)


def test_a_file_of_the_core_imports_only_from_below():
    row_of = {name: row for row, names in enumerate(FROM_BELOW) for name in names}
    wrong = []
    for path in (ROOT / "reformer").rglob("*.py"):
        name = path.relative_to(ROOT / "reformer").with_suffix("").parts[0]
        if name == "__init__":
            continue
        for line, module in imports(path):
            if not module.startswith("reformer."):
                assert module != "reformer", f"{name_of(path)}:{line} imports the whole package"
                continue
            other = module.split(".")[1]
            inside = name == other == "kernels"
            if not inside and row_of[other] >= row_of[name]:
                wrong.append(f"{name_of(path)}:{line} imports {module}, which stands above it")
    assert not wrong, "\n".join(wrong)


def test_only_tests_import_the_reference():
    wrong = [
        f"{name_of(path)}:{line} imports the oracle, which is slow and for tests only"
        for path in python_files(*FOLDERS[:-1])
        for line, module in imports(path)
        if module == "reformer.reference"
    ]
    assert not wrong, "\n".join(wrong)


def modules_without_torch():
    report = [f"report.{path.stem}" for path in (ROOT / "report").glob("[!_]*.py")]
    suites = [f"suites.{path.stem}" for path in (ROOT / "suites").glob("[!_]*.py")]
    return ["run_bench", *CONFIGS, "reformer", "baselines", *sorted(suites), *sorted(report)]


def test_configs_suites_and_report_do_without_torch():
    """Nor does anything that they import; all in one fresh interpreter, which costs seconds."""
    modules = modules_without_torch()
    program = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules:\n"
        "        sys.exit(f'{name} imports torch, itself or through another file')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
    )
    assert run.returncode == 0, run.stderr


def test_the_public_names_are_what_they_say():
    """`reformer.lsh_attention` is the function, though a file of that name is imported first."""
    program = (
        "import sys, reformer\n"
        "import reformer.model\n"
        "from reformer import LSHConfig, Reformer, ReformerConfig, hash_buckets, lsh_attention\n"
        "from baselines import Dense, DenseConfig\n"
        "assert callable(lsh_attention) and callable(hash_buckets)\n"
        "assert Reformer is sys.modules['reformer.model'].Reformer\n"
        "from reformer.lsh_attention import lsh_attention as again\n"
        "assert again is lsh_attention is reformer.lsh_attention\n"
        "assert not hasattr(reformer, 'lsh_atention')\n"
        "assert not hasattr(sys.modules['baselines'], 'Dens')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("path", python_files(*FOLDERS), ids=name_of)
def test_files_functions_and_signatures_are_short(path):
    file, text = name_of(path), path.read_text()
    problems = []
    if len(text.splitlines()) >= 300 and file not in LONG_FILES:
        problems.append(f"{file} has {len(text.splitlines())} lines; under 300, or split it")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        where = f"{file}:{node.lineno} {node.name}"
        n_lines = node.end_lineno - node.lineno + 1
        if n_lines >= 60 and f"{file} {node.name}" not in LONG_FUNCTIONS:
            problems.append(f"{where} has {n_lines} lines; under 60, or split it")
        a = node.args
        names = [arg.arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
        n_parameters = len([name for name in names if name not in ("self", "cls")])
        if n_parameters > 8 and f"{file} {node.name}" not in MANY_PARAMETERS:
            problems.append(f"{where} has {n_parameters} parameters; at most 8, or make a config")
    assert not problems, "\n".join(problems)


def test_exceptions_still_exist():
    """An exception whose reason has gone is removed here."""
    functions = {
        f"{name_of(path)} {node.name}"
        for path in python_files(*FOLDERS)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert {*MANY_PARAMETERS, *LONG_FUNCTIONS} <= functions
    assert all((ROOT / file).exists() for file in LONG_FILES)
