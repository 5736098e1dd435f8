"""Faults of what makes a sweep measure once more, or not."""

from mutants.fault import Fault

GROWTH, LEDGER = "suites/engine/sweep/growth.py", "suites/engine/sweep/ledger.py"
TESTS = (
    "tests/engine/test_processes.py",
    "tests/engine/test_growth.py",
    "tests/engine/test_resume.py",
)
FAULTS = [
    Fault(
        GROWTH,
        "n_good >= MIN_PROCESSES and half_width",
        "half_width",
        "three disturbed processes that agree are taken for a measurement",
    ),
    Fault(
        GROWTH,
        "spread / sqrt(len(medians))",
        "spread / len(medians)",
        "the interval that ends the growth is too narrow by the root of the processes",
    ),
    Fault(
        GROWTH,
        "stdtrit(len(medians) - 1, QUANTILE)",
        "stdtrit(len(medians), QUANTILE)",
        "one degree of freedom too many: three processes look like four",
    ),
    Fault(
        LEDGER,
        "return not stopped_by(processes, job.settings)",
        "return True",
        "every timing grows to its limit",
    ),
    Fault(
        LEDGER,
        "if not all(before) or any(map(needs_second_try, before)):",
        "if not all(before):",
        "a disturbed process is judged before it is measured again",
    ),
]
