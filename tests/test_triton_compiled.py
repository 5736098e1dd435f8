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


def compiled(variant):
    """Compile in a process of its own, where the kernels are not those of the interpreter."""
    variables = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, HERE / "triton_ahead_of_time.py", variant],
        env={**variables, "PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("dtype", "width"), [("bfloat16", 64), ("bfloat16", 128), ("float16", 64), ("float32", 64)]
)
@pytest.mark.parametrize("capability", [80, 90, 120])
def test_registers_hold_the_tiles(dtype, width, capability):
    """Nothing spills: a spilled tile goes to memory and back within the innermost loop.

    But for float32, whose products in three passes keep three copies, at the end of the backward.
    """
    found = compiled(f"{dtype},{width},{capability}")
    assert len(found) == 6
    for name, taken in found.items():
        print(name, taken)
        assert taken["stack"] <= (16 if dtype == "float32" else 0), name
        assert taken["local"] == 0, name
        assert 0 < taken["reg"] <= 255, name
        assert taken["shared"] <= MOST_SHARED[capability], name
        if capability == 90 and dtype != "float32" and "forward" in name:
            assert taken["wgmma"], name


def test_some_tiles_of_wide_heads_in_float32_fit_a_smaller_gpu():
    found = compiled("float32,128,120,every")
    for kernel in ("forward_round", "backward_round"):  # no chunk of theirs goes in runs there
        taken = [one["shared"] for name, one in found.items() if f",{kernel}," in name]
        assert min(taken) <= MOST_SHARED[120], (kernel, taken)
