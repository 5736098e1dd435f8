"""The fork server imports this, and with it torch and all that measures.

What goes wrong there must not end the server: a job imports the same again and says what it is.
"""

import contextlib
import gc
import importlib
import sys
from pickle import UnpicklingError
from types import TracebackType

WORKER = "suites.engine.measure.worker"

with contextlib.suppress(Exception):
    importlib.import_module(WORKER)

# What was imported is no garbage: to look through it would take each job 0.17 s, and copy pages.
gc.freeze()


def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print what a process died of, but of one whose sweep was stopped before it said what to do.

    That one has read the end of a file, or half of its job.
    """
    if not issubclass(kind, EOFError | UnpicklingError):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = tell
