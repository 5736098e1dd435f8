"""Tasks by name: batches of real text, or of the paper's synthetic task."""

from reformer.checks import refuse_unknown, require
from suites.tasks.base import IGNORED, Batches, Task
from suites.tasks.duplication import DuplicationTask
from suites.tasks.enwik8 import load_enwik8
from suites.tasks.enwiki_head import load_enwiki_head

__all__ = ["IGNORED", "TASKS", "Batches", "Task", "load_task"]

TASKS = ("enwiki-head", "enwik8", "duplication")
TAKES_PATH = ("enwik8",)


def load_task(name: str, path: str | None = None, download: bool = False) -> Task:
    """The task of that name, its data read and checked.

    `path` says where the data is, for tasks that are not embedded; `download` allows such a task
    to fetch what is missing. Raises ValueError on an unknown name, a path that has no effect, or
    missing or damaged data.
    """
    refuse_unknown(name, TASKS, "task")
    require(
        path is None or name in TAKES_PATH,
        f"task {name!r} brings its own data and takes no path, but {path!r} was given; "
        f"tasks that take one: {', '.join(TAKES_PATH)}",
    )
    if name == "enwik8":
        return load_enwik8(path, download)
    return load_enwiki_head() if name == "enwiki-head" else DuplicationTask()
