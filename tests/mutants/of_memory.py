"""Faults of the measurement of memory."""

from mutants.fault import Fault

FILE = "suites/engine/measure/memory.py"
TESTS = ("tests/engine/test_memory_oracle.py", "tests/engine/test_memory.py")
FAULTS = [
    Fault(
        FILE,
        "rest = max(0, outside.peak - outside.baseline)",
        "rest = outside.peak",
        "the interpreter and its libraries count as activations",
    ),
    Fault(
        FILE,
        "LivePeak([*parameters, *gradients, *state, *inputs])",
        "LivePeak([*parameters, *state, *inputs])",
        "gradients are missing from the live peak",
    ),
    Fault(
        FILE,
        "self.peak_bytes = max(self.peak_bytes, self.bytes)",
        "self.peak_bytes = self.bytes",
        "the last moment is taken for the peak",
    ),
    Fault(
        FILE,
        "        self.bytes -= n_bytes\n",
        "",
        "what was freed still counts: the peak is the sum of all that was ever allocated",
    ),
    Fault(
        FILE,
        "{t.untyped_storage()._cdata: t",
        "{id(t): t",
        "weights that share a storage count twice",
    ),
]
