"""Figures look alike everywhere: matplotlib is imported here first, without the user's settings.

Their backend may be a notebook's, their matplotlibrc broken, and either would end the import.
"""

import importlib
import os
from importlib.util import find_spec
from pathlib import Path


def import_matplotlib() -> None:
    """Import matplotlib as it comes, from its own matplotlibrc and for files alone."""
    spec = find_spec("matplotlib")
    found = spec.submodule_search_locations if spec else None
    backend, here = os.environ.get("MPLBACKEND"), os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
    os.environ["MPLBACKEND"] = "agg"
    try:
        if found:
            # a matplotlibrc in the current folder comes before all others
            os.chdir(Path(found[0]) / "mpl-data")
        importlib.import_module("matplotlib")
    finally:
        os.fchdir(here)
        os.close(here)
        if backend is None:
            del os.environ["MPLBACKEND"]
        else:
            os.environ["MPLBACKEND"] = backend


import_matplotlib()
