"""Profile one attention call, forward and backward, and print what takes the device's time.

python tests/profile_kernels.py [cuda|cpu]: on the CPU it only shows that it runs.
"""

import sys

import torch
from torch.profiler import ProfilerActivity, profile

from reformer import LSHConfig, lsh_attention

CONFIG = LSHConfig(n_rounds=4, bucket_size=64, chunk_length=64)
REPEATS = 5


def profile_call(device: str, length: int, dtype: torch.dtype) -> None:
    """Print the dearest kernels of a call at this length, in microseconds a call."""
    qk, v, grad = (torch.randn(1, 4, length, 64).to(device, dtype) for _ in range(3))

    def step() -> None:
        out = lsh_attention(qk.requires_grad_(), v.requires_grad_(), CONFIG)
        torch.autograd.grad(out, (qk, v), grad)

    step()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        for _ in range(REPEATS):
            step()
    averages = found.key_averages()
    for kind in ("device", "cpu"):
        dearest = sorted(averages, key=lambda e: -getattr(e, f"self_{kind}_time_total"))[:8]
        print(f"length {length}, {dtype}, time of the {kind}:")
        for event in dearest:
            took = getattr(event, f"self_{kind}_time_total") / REPEATS
            print(f"{took:10.1f} us {event.count / REPEATS:6.1f} x {event.key[:80]}")


if __name__ == "__main__":
    for n in (8192, 32768):
        profile_call(sys.argv[1] if len(sys.argv) > 1 else "cuda", n, torch.bfloat16)
