"""Make the golden curve: 50 steps of a small model, by the training path, on one thread.

`PYTHONPATH=. python tests/engine/golden.py` prints what this machine gets, as JSON; with `--write`
it replaces `golden_curve.json`, which a change of the training path, and nothing else, may call
for: say in CHANGELOG.md why. All is in float64 and in the plain kernel, so that machines differ by
rounding alone.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from suites.engine.host import read
from suites.engine.measure import training
from suites.engine.measure.build import build_model
from suites.engine.measure.machine import CPUINFO
from suites.engine.measure.worker import prepare
from suites.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("golden_curve.json")
SEED = 11
# Every setting is named, whatever the presets and the defaults become.
SETTINGS: dict[str, Any] = {
    "task": "enwiki-head",
    "n_pairs": 8,
    "attention": "lsh",
    "length": 128,
    "batch": 2,
    "d_model": 32,
    "d_ff": 64,
    "n_heads": 2,
    "n_layers": 2,
    "n_rounds": 2,
    "bucket_size": 8,
    "chunk_length": 16,
    "chunks_before": 1,
    "within_bucket": True,
    "correct_duplicates": True,
    "logit_scale": 1.0,
    "factorize_hash": True,
    "rotation": "orthonormal",
    "kernel": "plain",
    "shared_qk": False,
    "unit_keys": True,
    "attend_self": False,
    "reversible": True,
    "ff_chunks": 2,
    "loss_chunks": 2,
    "dropout": 0.1,
    "axial_positions": (8, 16),
    "embedding_std": 1.0,
    "positions_start": "sinusoids",
    "tie_embeddings": False,
    "precision": "float32",  # no autocast: all is in the default dtype, float64
    "subject": "model",
    "cuda_graph": False,
    "measures": ("quality",),
    "time_budget_s": 1.0,
    "processes": 1,
    "max_processes": 1,
    "within": 0.1,
    "train_steps": 50,
    "first_steps": 20,
    "first_length": 32,
    "first_batch": 4,
    "optimizer": "adamw",
    "learning_rate": 3e-3,
    "warmup_steps": 5,
    "heldout_tokens": 512,
    "evaluate_every": 20,
    "evaluate_rounds": (1, 4, 0),
    "evaluate_as": (),
    "analyses": (),
}


def weights_by_formula(model: torch.nn.Module) -> None:
    """Set weights that depend on no machine: the model's own are drawn in float32.

    PyTorch draws normal numbers in other ways with other vector instructions.
    """
    draw = np.random.default_rng(SEED)
    for weight in model.parameters():
        if weight.dim() > 1:
            uniform = torch.from_numpy(draw.random(weight.shape)) - 0.5
            weight.data.copy_(uniform * (12 / weight.shape[-1]) ** 0.5)


def processor() -> str:
    """Name the very model of the processor: clouds call many of them the same."""
    lines = [line.split(":", 1) for line in read(CPUINFO).split("\n\n")[0].splitlines()]
    told = {line[0].strip(): line[-1].strip() for line in lines}
    names = ("model name", "cpu family", "model", "stepping", "cache size")
    return ", ".join(told.get(name, "?") for name in names)


def run() -> dict[str, Any]:
    """Train and evaluate, and return the curves, a digest of the weights, and where that was."""
    assert Path(training.__file__).is_relative_to(ROOT), "this is another checkout's code"
    prepare("cpu", 1)
    torch.set_default_dtype(torch.float64)
    models, losses = [], []

    def build(*arguments: Any) -> Any:
        models.append(build_model(*arguments))
        weights_by_formula(models[-1])
        return models[-1]  # further ones take the weights of the first, to be evaluated otherwise

    def thin_out(all_losses: list[float]) -> list[tuple[int, float]]:
        losses.extend(all_losses)
        return keep(all_losses)

    keep, training.build_model, training.thin_out = training.thin_out, build, thin_out
    found = training.train_and_evaluate(Settings(**SETTINGS), SEED, "cpu")
    rounds = {name: row["bits_per_dim"] for name, row in found["evaluated_with"].items()}
    weights = b"".join(p.detach().numpy().tobytes() for p in models[0].parameters())
    return {
        "losses": losses,
        "curve": found["curve"],
        "evaluated_with": rounds,
        "accuracy": found["accuracy"],
        "train_tokens": found["train_tokens"],
        "weights": hashlib.sha256(weights).hexdigest(),
        "make": {
            "torch": torch.__version__,
            "numpy": np.__version__,
            "capability": torch.backends.cpu.get_cpu_capability(),
            "processor": processor(),
        },
    }


if __name__ == "__main__":
    text = json.dumps(run(), indent=1)
    if "--write" in sys.argv:
        FILE.write_text(text + "\n")
    print(text)
