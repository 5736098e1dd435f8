"""This program is run_bench.py with the suites of tiny_suites instead of the real ones."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    import run_bench
    import suites.engine.sweep.planning

    sys.path.insert(0, str(HERE))
    import tiny_suites

    suites.engine.sweep.planning.suites = tiny_suites
    sys.exit(run_bench.main())
