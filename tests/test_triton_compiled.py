"""What the compiler makes of the Triton kernels for the GPUs of the day, without one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reformer.kernels import triton

HERE = Path(__file__).parent
CPU = torch.device("cpu")
MOST_SHARED = {80: 163 * 1024, 90: 227 * 1024, 120: 99 * 1024}  # bytes a program can have
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(triton.unavailable(CPU)), reason=f"triton: {triton.unavailable(CPU)}"),
]


@pytest.mark.parametrize(
    ("dtype", "width"), [("bfloat16", 64), ("bfloat16", 128), ("float16", 64), ("float32", 64)]
)
@pytest.mark.parametrize("capability", [80, 90, 120])
def test_registers_hold_the_tiles(dtype, width, capability):
    """Nothing spills: a spilled tile goes to memory and back within the innermost loop.

    But for float32, whose products in three passes keep three copies, at the end of the backward.
    """
    variables = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, HERE / "triton_ahead_of_time.py", f"{dtype},{width},{capability}"],
        env={**variables, "PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 6
    for name, taken in found.items():
        print(name, taken)
        assert taken["stack"] <= (16 if dtype == "float32" else 0), name
        assert taken["local"] == 0, name
        assert 0 < taken["reg"] <= 255, name
        assert taken["shared"] <= MOST_SHARED[capability], name
        if capability == 90 and dtype != "float32" and "forward" in name:
            assert taken["wgmma"], name
