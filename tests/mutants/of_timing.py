"""Faults of timing."""

from mutants.fault import Fault

FILE = "suites/engine/measure/timing.py"
TESTS = (
    "tests/engine/test_timing_order.py",
    "tests/engine/test_timing.py",
    "tests/engine/test_ruler.py",
)
FAULTS = [
    Fault(
        FILE,
        "        prepare()\n        device.synchronise()\n        marks = [device.mark()]\n",
        "        device.synchronise()\n        marks = [device.mark()]\n        prepare()\n",
        "drawing the batch is timed as part of the forward pass",
    ),
    Fault(
        FILE,
        "        device.synchronise()\n",
        "",
        "work launched before is timed: on a GPU the last step's, or the batch's way there",
    ),
    Fault(
        FILE,
        '"step": sum(elapsed.values())',
        '"step": max(elapsed.values())',
        "the step is not the sum of its parts",
    ),
    Fault(FILE, "    gc.disable()\n", "", "garbage is collected amid a sample"),
    Fault(
        FILE,
        "if 2 * tail > 0.05",
        "if tail > 0.05",
        "the interval that stops a timing covers 90 %, not 95 %",
    ),
]
