"""Each use in the README's table of a library runs as it stands there."""

import json
import re
from dataclasses import asdict

import pytest
import torch
import torch.distributed as dist
from oracle import make_model, make_tokens
from source_files import ROOT
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from reformer import LSHConfig, Reformer, ReformerConfig, lsh_attention

README = (ROOT / "README.md").read_text()
SECTION = README[README.index("## As a library") : README.index("## How a number is made")]
ROWS = re.findall(r"^\| `([^|]+)` \| ([^|]+) \| `(tests/[^`]+)` \|$", SECTION, re.MULTILINE)


@pytest.fixture
def group(tmp_path):
    """A process group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_the_table_is_found():
    assert len(ROWS) >= 11
    assert SECTION.count("\n| `") == len(ROWS)
    for _, _, tests in ROWS:
        assert "def test_" in (ROOT / tests).read_text()


@pytest.mark.usefixtures("group")
@pytest.mark.filterwarnings("ignore")  # torch.compile warns of deprecated parts of its own
@pytest.mark.parametrize("code", [code for code, _, _ in ROWS])
def test_a_use_runs_as_it_stands(code):
    model = make_model(torch.float32, ff_chunks=4, loss_chunks=4, dropout=0.1)
    ordinary = make_model(torch.float32, reversible=False, kernel="plain")
    names = {
        "torch": torch,
        "json": json,
        "asdict": asdict,
        "LSHConfig": LSHConfig,
        "Reformer": Reformer,
        "ReformerConfig": ReformerConfig,
        "lsh_attention": lsh_attention,
        "qk": torch.randn(1, 2, 64, 8, generator=torch.Generator().manual_seed(0)),
        "model": model,
        "ordinary": ordinary,
        "tokens": make_tokens(),
        "targets": make_tokens(1),
        "hook": lambda module, inputs, out: out,
        "checkpoint": checkpoint,
        "DistributedDataParallel": DistributedDataParallel,
        "fully_shard": fully_shard,
        "mesh": init_device_mesh("cpu", (1,)),
    }
    try:
        exec(code, names)
    finally:
        torch.set_default_dtype(torch.float32)
    if "backward" in code:
        trained = [p for p in [*model.parameters(), *ordinary.parameters()] if p.grad is not None]
        assert any(p.grad.abs().max() > 0 for p in trained)


def test_the_example_runs_as_it_stands():
    names = {}
    exec(re.search(r"```python\n(.*?)```", SECTION, re.DOTALL)[1], names)
    assert names["out"].shape == (1, 4, 1024, 64)
    assert names["nats"].isfinite()
    assert names["model"].head[1].weight.grad.abs().max() > 0
