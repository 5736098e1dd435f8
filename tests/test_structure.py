"""The shape of the code: how long things get, what docstrings are like, who needs no PyTorch."""

import ast
import os
import subprocess
import sys

import pytest
from source_files import PACKAGES, ROOT, name_of, python_files

# Function: its number of parameters, and why they are more than 8.
MANY_PARAMETERS: dict[str, str] = {}
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}


def modules_without_torch():
    """All of report, the suites, and of the engine what runs around jobs and keeps records."""
    rooms = ("report", "suites/engine/store", "suites/engine/sweep")
    files = [path for room in rooms for path in (ROOT / room).rglob("[!_]*.py")]
    files += [*(ROOT / "suites").glob("[!_]*.py"), *(ROOT / "suites/engine").glob("[!_]*.py")]
    names = [name_of(path).removesuffix(".py").replace("/", ".") for path in files]
    configs = ("reformer.checks", "reformer.config", "baselines.config")
    return ["run_bench", *configs, "reformer", "baselines", *sorted(names)]


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


@pytest.mark.parametrize("path", python_files(*PACKAGES, "tests"), ids=name_of)
def test_files_functions_and_signatures_are_short(path):
    file, text = name_of(path), path.read_text()
    problems = []
    if len(text.splitlines()) >= 300 and file not in LONG_FILES:
        problems.append(f"{file} has {len(text.splitlines())} lines; under 300, or split it")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if any("triton.jit" in ast.unparse(one) for one in node.decorator_list):
            continue  # a launch takes pointers and numbers, and its tiles live in registers
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


@pytest.mark.parametrize("path", python_files(*PACKAGES, "tests"), ids=name_of)
def test_docstrings_begin_with_one_sentence_on_one_line(path):
    tree = ast.parse(path.read_text())
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    broken = []
    for node in ast.walk(tree):
        docstring = ast.get_docstring(node) if isinstance(node, kinds) else None
        if docstring is not None and not is_a_sentence(docstring.splitlines()[0]):
            where = getattr(node, "name", "the module")
            broken.append(f"{name_of(path)}: the docstring of {where} breaks its first sentence")
    assert not broken, "\n".join(broken)


def is_a_sentence(line):
    """Does a line end as a sentence ends?"""
    return line.rstrip('"`)').endswith((".", "?", "!"))


def test_a_broken_first_sentence_is_seen():
    assert is_a_sentence("Time a part of one step.")
    assert not is_a_sentence(
        "Time the parts of one step: first call apart, warm up until steady, repeat"
    )


def test_exceptions_still_exist():
    """An exception whose reason has gone is removed here."""
    functions = {
        f"{name_of(path)} {node.name}"
        for path in python_files(*PACKAGES, "tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert {*MANY_PARAMETERS, *LONG_FUNCTIONS} <= functions
    assert all((ROOT / file).exists() for file in LONG_FILES)
