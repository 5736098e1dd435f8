"""Compile the Triton kernels for GPUs that are not here, and print what each takes as JSON.

It runs in a process of its own: in the tests' process kernels are those of the interpreter.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from reformer import LSHConfig
from reformer.kernels.triton import attention, backward, backward_run, forward, tune
from reformer.sorting import SortedRounds

KERNELS = (forward.forward_round, backward.backward_round, backward_run.backward_run)
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
DTYPES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
POINTERS = {"total": "fp32", "dq_total": "fp32", "dv_total": "fp32", "order": "i32", "cells": "i32"}
POINTERS |= dict.fromkeys(("z", "z_and_delta"), "fp32")


def signature_of(kernel, constants, element):
    """Name the type of every argument: those of the wrapper at its sizes."""
    types = {}
    for name in kernel.arg_names:
        if name in constants:
            types[name] = "constexpr"
        elif name in POINTERS or name in ("q", "v", "out", "dout", "dq", "dv"):
            types[name] = "*" + POINTERS.get(name, element)
        else:
            types[name] = "fp32" if name == "logit_scale" else "i32"
    return types


def call_of(kernel, dtype, width, capability):
    """Make what stands for queries, and rounds that the kernel takes, or None."""
    like = torch.empty(1, 1, 4096, width, dtype=dtype)
    places = torch.zeros(1, 1, 4, 4096, dtype=torch.int32)
    every = [
        SortedRounds(places, places, n, 1, within_bucket=True, valid_length=4096)
        for n in (64, 32, 16)
    ]
    if kernel is backward_run.backward_run:  # the longest chunk that is one tile
        every = [one for one in every if attention.in_runs(like, one, capability // 10)]
    return like, every[0] if every else None


def compile_one(kernel, like, rounds, capability, tiles, last):
    """Compile one variant for compute capability 80, 90 or 120, and return what it takes."""
    config = LSHConfig(n_rounds=4, bucket_size=64, chunk_length=64)
    constants = attention.constants_of(like, rounds, config, 3 if last else 2, tiles)
    signature = signature_of(kernel, constants, DTYPES[like.dtype])
    multiples = {
        (i,): [["tt.divisibility", 16]]
        for i, (name, kind) in enumerate(signature.items())
        if kind.startswith("*") or (kind == "i32" and name not in ("chunks", "valid_length"))
    }
    source = ASTSource(kernel, signature, constants, multiples)
    target = GPUTarget("cuda", capability, 32)
    made = triton.compile(source, target=target, options=tiles.options())
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        told = subprocess.run(
            [CUOBJDUMP, "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    found = {name.lower(): int(n) for name, n in re.findall(r"(REG|STACK|LOCAL):(\d+)", told)}
    return {**found, "shared": made.metadata.shared, "wgmma": "wgmma" in made.asm["ptx"]}


def main():
    """Compile the variants named in the arguments: dtype, width and capability, by commas.

    A middle and the last round with the first candidate for the tiles; for a width with "every"
    behind it, the last round with every candidate.
    """
    found = {}
    for text in sys.argv[1:]:
        dtype, width, capability, *every = text.split(",")
        for kernel in KERNELS:
            call = call_of(kernel, getattr(torch, dtype), int(width), int(capability))
            tried = tune.candidates(kernel.__name__, *call) if call[1] else []
            for tiles in tried if every else tried[:1]:
                for last in (True,) if every else (False, True):
                    taken = compile_one(kernel, *call, int(capability), tiles, last)
                    found[f"{text},{kernel.__name__},{tiles},{last=}"] = taken
    print(json.dumps(found))


if __name__ == "__main__":
    main()
