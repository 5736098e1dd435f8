"""The models start by guessing, and learn what only attention can know."""

import math

import pytest
import torch
from torch.nn.functional import pad

from baselines import Dense, DenseConfig
from reformer import LSHConfig, Reformer, ReformerConfig
from reformer.loss import IGNORED

VOCABULARY = 19
LSH = LSHConfig(n_rounds=2, bucket_size=4)


def random_tokens(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (16, 24), generator=generator)


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("n_layers", [1, 6])
@pytest.mark.parametrize("kind", ["lsh", "dense"])
def test_the_first_loss_is_that_of_guessing(kind, n_layers, reversible):
    sizes = {"vocabulary": 256, "length": 256, "d_model": 64, "d_ff": 256, "n_layers": n_layers}
    if kind == "lsh":
        model = Reformer(ReformerConfig(reversible=reversible, **sizes))
    else:
        model = Dense(DenseConfig(reversible=reversible, **sizes))
    tokens = torch.randint(256, (2, 257), generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        loss = model.loss(tokens[:, :-1], tokens[:, 1:]).item()
    assert loss == pytest.approx(math.log(256), rel=0.2)


@pytest.mark.parametrize(("attention", "bar"), [(LSH, 0.6), ("dense", 0.05)], ids=["lsh", "dense"])
@pytest.mark.parametrize("reversible", [True, False])
def test_training_learns_to_look_one_token_back(attention, bar, reversible):
    """Tokens are random, the target is the token before: only attention can learn anything.

    With 2 rounds of small buckets LSH often misses that one key, hence its higher bar.
    """
    sizes = {"vocabulary": VOCABULARY, "length": 64, "d_model": 32, "d_ff": 64}
    config = {"n_heads": 1, "n_layers": 1, "attention": attention, "reversible": reversible}
    model = Reformer(ReformerConfig(**sizes, **config))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for step in range(75):
        tokens = random_tokens(step)
        targets = pad(tokens[:, :-1], (1, 0), value=IGNORED)
        loss = model.loss(tokens, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-15:]) / 15 < bar * math.log(VOCABULARY)
