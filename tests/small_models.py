"""Small models of every form, and tokens, vectors and buckets for them."""

import torch
from attention_oracle import kernel_params, random_inputs

from baselines import Dense, DenseConfig
from reformer import LSHConfig, Reformer, ReformerConfig

LSH = LSHConfig(n_rounds=2, bucket_size=8)
SIZES = {"vocabulary": 64, "length": 64, "d_model": 32, "d_ff": 48, "n_heads": 2, "n_layers": 2}
KERNELS = kernel_params("plain", "blocked", "native", "flex")
TOKENS = torch.randint(64, (2, 64), generator=torch.Generator().manual_seed(0))
QK, V = (x.detach().float() for x in random_inputs(1, (1, 2, 64, 8))[:2])
BUCKETS = torch.randint(8, (1, 2, 2, 64), generator=torch.Generator().manual_seed(2))
MODELS = {
    "reformer": lambda: Reformer(ReformerConfig(**SIZES, attention=LSH)),
    "in pieces, with dropout": lambda: Reformer(
        ReformerConfig(
            **SIZES, attention=LSH, axial_positions=(8, 8), ff_chunks=2, loss_chunks=2, dropout=0.1
        )
    ),
    "plain": lambda: Reformer(ReformerConfig(**SIZES, attention=LSH, kernel="plain")),
    "blocked": lambda: Reformer(ReformerConfig(**SIZES, attention=LSH, kernel="blocked")),
    "flex": lambda: Reformer(ReformerConfig(**SIZES, attention=LSH, kernel="flex")),
    "not reversible": lambda: Reformer(ReformerConfig(**SIZES, attention=LSH, reversible=False)),
    "full shared-QK attention": lambda: Reformer(ReformerConfig(**SIZES, attention="dense")),
    "dense": lambda: Dense(DenseConfig(**SIZES, loss_chunks=2)),
    "naive": lambda: Dense(DenseConfig(**SIZES, attention="naive", shared_qk=True)),
    "memory-efficient": lambda: Dense(DenseConfig(**SIZES, attention="memory_efficient")),
}
