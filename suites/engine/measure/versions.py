"""What only some cases use has a version: peers, the user's own code and data."""

import hashlib
import importlib.metadata
import inspect
import sys
from pathlib import Path

from baselines.attention import find_attention
from baselines.config import PEERS, package_of, require_installed
from reformer.checks import is_own
from suites.settings import OF_VERSIONS, TASKS, Settings
from suites.tasks import Task, load_task


def version_of_attention(name: str) -> str:
    """Return what must agree of an attention that is not in the measured code; "" if it is.

    That is a published one's version, or a checksum of the package, or the file, with the user's
    own. Raises ValueError if it cannot be imported.
    """
    if is_own(name):
        contents = [path.read_bytes() for path in sorted(files_of(name))]
        return hashlib.sha256(b"".join(contents)).hexdigest()[:12]
    if name in PEERS:
        require_installed(name)
        return importlib.metadata.version(package_of(name))
    return ""


def files_of(name: str) -> set[Path]:
    """Return the files with the code of the user's own attention: of its whole package, if any."""
    code = getattr(inspect.unwrap(find_attention(name)), "__code__", None)
    top = sys.modules[name.partition(":")[0].partition(".")[0]]
    files = {path for folder in getattr(top, "__path__", ()) for path in Path(folder).rglob("*.py")}
    sources = getattr(top, "__file__", None), code and code.co_filename
    files |= {Path(source) for source in sources if source}
    return {path.resolve() for path in files if path.is_file()}


def version_of_task(task: Task) -> str:
    """Return a checksum of data that its name alone does not identify; "" if it does."""
    facts = task.describe()
    if task.name in TASKS and task.name not in OF_VERSIONS:
        return ""
    return str(facts.get("sha256") or facts.get("version") or "")[:12]


def versions_of(settings: Settings, data_path: str | None) -> dict[str, str]:
    """Return what must agree of a case beside the machine (Plan.versions)."""
    names = settings.measured()
    found = {names["attention"]: version_of_attention(names["attention"])}
    if "task" in names and (is_own(names["task"]) or names["task"] in OF_VERSIONS):
        found[names["task"]] = version_of_task(load_task(names["task"], data_path))
    return {name: version for name, version in found.items() if version}
