"""Tests run on one thread: on a busy machine PyTorch's threads spin, and 3 s become 339 s."""

import gc
import os
import signal
import tempfile
from pathlib import Path

import torch

torch.set_num_threads(1)
# what a shell starts in the background ignores Ctrl-C, and what tests start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read where a kernel is defined: they run on the CPU then
# sweeps of tests take turns among themselves, and wait for no real one
TURNS = tempfile.TemporaryDirectory(prefix="turns-")
os.environ["REFORMER_LOCK"] = str(Path(TURNS.name) / "lock")


def pytest_collection_finish() -> None:
    """What was imported is no garbage: to look through it takes 0.3 s before each timing."""
    gc.freeze()
