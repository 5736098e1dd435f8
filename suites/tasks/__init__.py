"""Tasks are found by name: real text and photos, synthetic tasks, or the user's own data."""

from collections.abc import Callable

from reformer.checks import find_own, is_own, refuse_unknown, require
from suites.tasks.base import IGNORED, Batches, Task
from suites.tasks.duplication import DuplicationTask
from suites.tasks.enwik8 import load_enwik8
from suites.tasks.enwiki_head import load_enwiki_head
from suites.tasks.imagenet64 import load_imagenet64
from suites.tasks.photos64 import load_photos64
from suites.tasks.recall import RecallTask
from suites.tasks.text_file import load_text

__all__ = ["IGNORED", "Batches", "Task", "load_task"]

EMBEDDED: dict[str, Callable[[], Task]] = {
    "enwiki-head": load_enwiki_head,
    "duplication": DuplicationTask,
    "photos64": load_photos64,
}
TAKES_PAIRS = ("recall",)
TAKES_PATH = ("enwik8", "text", "imagenet64")


def load_task(
    name: str,
    path: str | None = None,
    download: bool = False,
    n_pairs: int = 1,
) -> Task:
    """Load the task of that name and check its data.

    path: where the data is, for tasks that are not embedded. download: such a task may fetch what
    is missing. n_pairs: of each sequence of the task "recall". The user's own task
    "package.module:function" is what that function returns, called with the path. Raises ValueError
    on an unknown name, a path that has no effect, or missing or damaged data.
    """
    if is_own(name):
        task: Task = find_own(name, "task")(path)
        return task
    refuse_unknown(name, (*EMBEDDED, *TAKES_PAIRS, *TAKES_PATH), "task")
    require(
        path is None or name in TAKES_PATH,
        f"task {name!r} brings its own data and takes no path, but {path!r} was given; "
        f"tasks that take one: {', '.join(TAKES_PATH)}",
    )
    if name in EMBEDDED:
        return EMBEDDED[name]()
    if name == "recall":
        return RecallTask(n_pairs)
    if name == "enwik8":
        return load_enwik8(path, download)
    return load_text(path) if name == "text" else load_imagenet64(path)
