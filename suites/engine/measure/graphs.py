"""An attention call is captured in CUDA graphs: what the GPU takes for it, without the host."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from reformer.checks import require

CALLS_BEFORE = 3  # on a stream beside, as PyTorch asks: they compile, tune and allocate


def in_graphs(
    call: Callable[[], Tensor], inputs: Sequence[Tensor], gradient: Tensor
) -> dict[str, Callable[[], object]]:
    """Capture a call and its backward pass, and return the replays of both.

    gradient: of the call's result. Raises ValueError where there is no GPU.
    """
    require(gradient.is_cuda, "cuda_graph captures what runs on a GPU; use --device cuda")
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(CALLS_BEFORE):
            torch.autograd.grad(call(), inputs, gradient)
    torch.cuda.current_stream().wait_stream(beside)
    forward, backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
    with torch.cuda.graph(forward):
        out = call()
    with torch.cuda.graph(backward, pool=forward.pool()):
        torch.autograd.grad(out, inputs, gradient)
    return {"forward": forward.replay, "backward": backward.replay}
