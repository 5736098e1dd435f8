"""The recipes of CONTRIBUTING.md do what they say: each is executed step by step."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from source_files import PACKAGES, ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
FENCED = re.compile(r"^ *```(python|sh) ?(\S*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def recipes():
    """The sections that are recipes, by title: their steps as (language, file, text)."""
    found = {}
    for section in CONTRIBUTING.split("\n## "):
        title, _, text = section.partition("\n")
        if title.startswith("Add "):
            found[title] = [
                (language, file, re.sub(r"^   ", "", body, flags=re.MULTILINE))
                for language, file, body in FENCED.findall(text)
            ]
    return found


@pytest.fixture
def project(tmp_path):
    """A copy of the project, to which a recipe may add files."""
    for part in PACKAGES:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run_bench.py", tmp_path)
    return tmp_path


def run(command, project):
    """Run one command of a recipe as it stands there; what it printed."""
    words = shlex.split(command)
    assert words[0] == "python"
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_there_are_recipes_with_files_and_commands():
    assert list(recipes()) == ["Add an ablation", "Add a baseline", "Add a data set"]
    for steps in recipes().values():
        assert [language for language, _, _ in steps] == ["python", "sh"]


@pytest.mark.slow
@pytest.mark.parametrize("title", recipes())
def test_a_recipe_ends_with_a_measured_case(title, project):
    for language, file, text in recipes()[title]:
        if language == "python":
            path = project / file
            assert not path.exists(), f"{file} is there already"
            path.write_text(text)
        else:
            outputs = [run(command, project) for command in text.splitlines() if command]
            assert any("open " in output for output in outputs), "no report was written"
    new = recipes()[title][0][1]
    (folder,) = (project / "results/runs").iterdir()
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    assert {record["status"] for record in records} == {"ok"}
    name = Path(new).stem
    mine = [r for r in records if name in json.dumps([r["suites"], r["settings"]])]
    assert mine, f"nothing was measured of {new}"
    assert all(record["time"] and record["memory"] for record in mine)
    assert any(record["quality"] for record in mine)
    assert (folder / "index.html").exists()
    copied = ROOT / new
    assert not copied.exists(), "a recipe works on its copy"
