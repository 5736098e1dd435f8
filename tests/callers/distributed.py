"""What each rank of the data-parallel tests does, in a process of its own."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from oracle import make_model, make_tokens  # noqa: E402


def data_parallel(rank, size, form, folder):
    """Differentiate one rank's half of the batch; rank 0 keeps gradients, all keep choices."""
    model = make_model(**form)
    wrapped = DistributedDataParallel(model)
    tokens, targets = make_tokens(), make_tokens(1)
    choices, _ = make_model(**form).draw_choices(tokens)
    mine = slice(rank, rank + 1)
    wrapped(tokens[mine], targets[mine]).backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    seeds = [[c.seed for c in pair] for pair in choices]
    in_evaluation, _ = model.eval().draw_choices(tokens)
    same = [[c.seed for c in pair] for pair in in_evaluation]
    torch.save({"grads": grads, "seeds": seeds, "evaluation": same}, f"{folder}/{rank}.pt")


def shard_layers(rank, size, form, folder):
    """Shard the layers of a model by FSDP2; what a training step says."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = make_model(torch.float32, **form)
    mesh = init_device_mesh("cpu", (size,))
    for layer in model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    said = run(model)
    if rank == 0:
        torch.save(said, f"{folder}/said.pt")


def shard_root(rank, size, form, folder):
    """Shard a model as a whole by FSDP2; what a training step says, and its gradients."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = make_model(torch.float32, **form)
    fully_shard(model, mesh=init_device_mesh("cpu", (size,)))
    said = run(model)
    grads = {
        name: p.grad.full_tensor() for name, p in model.named_parameters() if p.grad is not None
    }
    if rank == 0:
        torch.save(said, f"{folder}/said.pt")
        torch.save(grads, f"{folder}/grads.pt")


def shard_part(rank, size, form, folder):
    """Shard one linear layer and the head by FSDP2, and say what a training step says."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = make_model(torch.float32, **form)
    mesh = init_device_mesh("cpu", (size,))
    for part in (model.layers[0].feed_forward.widen, model.head, model):
        fully_shard(part, mesh=mesh)
    said = run(model)
    if rank == 0:
        torch.save(said, f"{folder}/said.pt")


def shard_flat(rank, size, form, folder):
    """Shard a model by the first FSDP, in flat parameters; what a training step says."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    model = make_model(torch.float32, **form)
    said = run(FullyShardedDataParallel(model, device_id=torch.device("cpu")))
    if rank == 0:
        torch.save(said, f"{folder}/said.pt")


def run(model):
    try:
        model(make_tokens(), make_tokens(1)).backward()
    except (RuntimeError, ValueError) as error:
        return str(error)
    return ""


def main(rank, size, function, form, folder):
    """Join the group, do one of the above, and leave.

    The process leaves at once when all is written: while the interpreter goes down, after the
    group was destroyed, gloo's threads abort about one process of fifty.
    """
    torch.set_num_threads(1)
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "TP_SOCKET_IFNAME": "lo"}
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=rank, world_size=size
    )
    try:
        globals()[function](rank, size, form, folder)
    finally:
        dist.destroy_process_group()
    sys.stderr.flush()
    os._exit(0)
