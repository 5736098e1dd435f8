"""The kernels use torch.compile with static shapes and no graph breaks, where it can work."""

import importlib
import importlib.util
import inspect
import os
import shutil
import sysconfig
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reformer.checks import require

OLDEST_GPU = (7, 0)  # compute capability, below which Triton generates no code
# Combinations of shapes, dtypes and options in one process; one more is an error. PyTorch's limit
# is 8, which flex would reach with 8 lengths.
VARIANTS = 256


def unavailable(device: torch.device) -> str:
    """Say why torch.compile cannot generate code for this device; "" if it can."""
    if device.type == "cpu":
        return _unavailable_on_cpu()
    if device.type != "cuda":
        return f"there is no code generator for {device.type}"
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    if torch.cuda.is_available() and torch.cuda.get_device_capability(device) < OLDEST_GPU:
        return f"{torch.cuda.get_device_name(device)} is older than compute capability 7.0"
    return ""


def _unavailable_on_cpu() -> str:
    compiler = os.environ.get("CXX") or "g++"
    if shutil.which(compiler) is None:
        return f"no compiler {compiler} was found; set CXX"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "the headers of Python (Python.h) are not installed"
    return ""


def require_compiler(kernel: str, like: Tensor) -> None:
    """Raise ValueError, naming what is legal, unless torch.compile works where `like` is."""
    reason = unavailable(like.device)
    require(
        not reason,
        f'kernel "{kernel}" needs torch.compile on {like.device.type}: {reason}; use "blocked"',
    )


@cache
def compile_static(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `function` in torch.compile, once for every caller in this process.

    It is compiled at first use, and again for every new combination of shapes, dtypes and options.
    A graph break is an error: the rest would run eagerly, and a record would call it compiled.
    """
    with warnings.catch_warnings(action="ignore"):  # it uses deprecated parts of PyTorch itself
        importlib.import_module("torch._inductor.compile_fx")
    options: dict[str, Any] = {"dynamic": False, "fullgraph": True}
    if "recompile_limit" in inspect.signature(torch.compile).parameters:
        options["recompile_limit"] = VARIANTS
    else:  # older PyTorch has one limit for all functions
        torch._dynamo.config.recompile_limit = VARIANTS
    return torch.compile(function, **options)
