"""With tie_embeddings the output layer's weight is that of the token embeddings."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from baselines import Dense
from baselines.config import DenseConfig
from reformer import LSHConfig, Reformer, ReformerConfig

SIZES = {"vocabulary": 29, "length": 24, "d_model": 16, "d_ff": 24, "n_heads": 2, "n_layers": 2}
LSH = ReformerConfig(**SIZES, attention=LSHConfig(n_rounds=2, bucket_size=4), kernel="plain")
MODELS = {
    "lsh in pieces": (Reformer, replace(LSH, loss_chunks=3)),
    "lsh, ordinary": (Reformer, replace(LSH, reversible=False)),
    "dense": (Dense, DenseConfig(**SIZES, shared_qk=True)),
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_a_tied_weight_are_those_of_both_uses(name: str) -> None:
    build, config = MODELS[name]
    tied = build(replace(config, tie_embeddings=True, embedding_std=0.3)).double().eval()
    assert tied.head[1].weight is tied.embedding.weight
    apart = build(replace(config, embedding_std=0.3)).double().eval()
    assert apart.head[1].weight is not apart.embedding.weight
    apart.load_state_dict(tied.state_dict())
    tokens, targets = torch.randint(29, (2, 3, 24), generator=torch.Generator().manual_seed(1))
    losses = [model.loss(tokens, targets) for model in (tied, apart)]
    torch.testing.assert_close(*losses, rtol=1e-12, atol=0)
    for loss in losses:
        loss.backward()
    expected = {name: weight.grad for name, weight in apart.named_parameters()}
    expected["embedding.weight"] = expected["embedding.weight"] + expected.pop("head.1.weight")
    found = {name: weight.grad for name, weight in tied.named_parameters()}
    assert found.keys() == expected.keys()
    for key, grad in expected.items():
        torch.testing.assert_close(found[key], grad, rtol=1e-9, atol=1e-12)
    assert expected["embedding.weight"].abs().max() > 0


def test_a_tied_weight_has_the_spread_of_embeddings_and_stays_tied() -> None:
    config = replace(LSH, vocabulary=5000, tie_embeddings=True, embedding_std=0.3)
    model = Reformer(config)
    assert float(model.embedding.weight.detach().std()) == pytest.approx(0.3, rel=0.02)
    twin = copy.deepcopy(model)
    assert twin.head[1].weight is twin.embedding.weight
    other = Reformer(replace(config, seed=1))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.head[1].weight, model.embedding.weight)
    assert other.head[1].weight is other.embedding.weight


TIED = replace(LSH, tie_embeddings=True, embedding_std=0.3, reversible=False, n_layers=1)


def from_meta(model: Reformer) -> Reformer:
    with torch.device("meta"):
        made = Reformer(TIED)
    made = made.to_empty(device="cpu")
    made.load_state_dict(model.state_dict())
    return made


def by_assignment(model: Reformer) -> Reformer:
    made = Reformer(replace(TIED, seed=1))
    made.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    return made


def as_a_part(model: Reformer) -> Reformer:
    whole, given = (torch.nn.Sequential(Reformer(replace(TIED, seed=seed))) for seed in (1, 0))
    whole.load_state_dict(copy.deepcopy(given.state_dict()), assign=True)
    return whole[0]


def converted(model: Reformer) -> Reformer:
    made = copy.deepcopy(model)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        return made.double().float()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


@pytest.mark.parametrize("make", [from_meta, by_assignment, as_a_part, converted])
def test_a_tied_weight_stays_so_however_a_model_is_loaded(
    make: Callable[[Reformer], Reformer],
) -> None:
    """Two parameters on one memory would be moved twice by an optimizer."""
    model = Reformer(TIED)
    made = make(model)
    assert made.head[1].weight is made.embedding.weight
    assert len(list(made.parameters())) == len(list(model.parameters()))
    for name, weight in made.named_parameters():
        assert torch.equal(weight, dict(model.named_parameters())[name]), name


def test_an_output_layer_of_the_users_own_is_left_alone() -> None:
    model = Reformer(TIED)
    own = torch.nn.Linear(16, 29)
    model.head[1] = own
    assert model.double().head[1] is own
    assert own.weight is not model.embedding.weight
    before = own.weight.detach().clone()
    model.load_state_dict(copy.deepcopy(model.state_dict()))
    assert own.weight is not model.embedding.weight
    assert torch.equal(own.weight, before)
    model.head = torch.nn.Linear(16, 29, bias=False)  # type: ignore[assignment]
    model.float().load_state_dict(model.state_dict(), assign=True)
    assert model.head.weight is not model.embedding.weight
