"""A probe finds out, in a process of its own, what a sweep must know of the machine to start."""

from typing import Any

import torch

import reformer.kernels
from reformer.kernels.native import build
from suites.engine.code import ROOT, code_hash
from suites.engine.host import available_cores
from suites.engine.job import Question
from suites.engine.measure.machine import identity, lacking, matmul_gflops
from suites.engine.measure.versions import version_of_attention, version_of_task
from suites.engine.measure.worker import prepare
from suites.tasks import Task, load_task


def probe(question: Question) -> dict[str, Any]:
    """Answer the question; the answer has a `refusal` where a device, a package or data is missing.

    Else it is {"device": "auto" resolved, "kernel": of LSH attention where none is named, in words
    with why it is no faster one, "is_fallback", "library": the compiled native kernel, "identity":
    of the machine, "lacks": precisions it has no instructions for, with why, "versions": of what
    only some cases use (Plan.versions), "gflops": its speed, "code": the hash of the measured code
    as this process has it, "root": where that code lies}.
    """
    try:
        device = prepare(question.device, available_cores())
        versions = {name: version_of_attention(name) for name in question.attentions}
        for name, length in question.lengths.items():
            task = load_task(name, question.data.get(name), download=question.download)
            require_long_enough(task, length, question.evaluated.get(name, 0))
            versions[name] = version_of_task(task)
    except (ValueError, OSError) as error:
        return {"refusal": str(error)}
    # the native kernel is compiled here, not within the first measurement
    like = torch.empty(0, device=device.type)
    kernel, fallback = reformer.kernels.pick("auto", like), reformer.kernels.fallback(like)
    return {
        "device": device.type,
        "kernel": f"{kernel!r} ({fallback})" if fallback else repr(kernel),
        "is_fallback": bool(fallback),
        "library": str(build.library()) if kernel == "native" else "",
        "identity": identity(device),
        "lacks": lacking(device),
        "versions": {name: version for name, version in versions.items() if version},
        "gflops": matmul_gflops(device),
        "code": code_hash(device.type),
        "root": str(ROOT),
    }


def require_long_enough(task: Task, length: int, evaluated: int) -> None:
    """Raise ValueError if the task has no sequence as long to step on, or to evaluate if not 0."""
    task.train_batches(length, 1, 0)
    if evaluated:
        task.heldout_batches(evaluated, 1, evaluated)
