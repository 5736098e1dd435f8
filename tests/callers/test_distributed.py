"""Data-parallel training: gradients of the whole batch, each rank with choices of its own."""

import pytest
import torch
import torch.multiprocessing
from distributed import main
from oracle import make_model, make_tokens

from reformer import LSHConfig

pytestmark = pytest.mark.slow  # seconds for the processes of each test

FORMS = {
    "reversible": {"reversible": True, "ff_chunks": 4, "loss_chunks": 4},
    "ordinary": {"reversible": False, "ff_chunks": 4, "loss_chunks": 4},
}
DENSE = {"attention": "dense"}


def spawn(function, form, folder, size):
    torch.multiprocessing.spawn(main, (size, function, form, str(folder)), nprocs=size)


@pytest.mark.parametrize("name", FORMS)
def test_the_gradients_are_those_of_the_whole_batch(name, tmp_path):
    """Without choices, which differ by rank: full attention, no dropout."""
    form = FORMS[name] | DENSE
    spawn("data_parallel", form, tmp_path, 2)
    model, tokens, targets = make_model(**form), make_tokens(), make_tokens(1)
    model.loss(tokens, targets).backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")["grads"]
        for name, p in model.named_parameters():
            torch.testing.assert_close(found[name], p.grad, rtol=1e-9, atol=1e-12)


def test_ranks_draw_choices_of_their_own_in_training_and_the_same_in_evaluation(tmp_path):
    form = {"attention": LSHConfig(bucket_size=8), "dropout": 0.2}
    spawn("data_parallel", form, tmp_path, 2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    alone = [[c.seed for c in pair] for pair in make_model().draw_choices(make_tokens())[0]]
    assert first["seeds"] == alone, "the first rank draws what one process draws"
    seeds = [{s for pair in found["seeds"] for s in pair} for found in (first, second)]
    assert seeds[0].isdisjoint(seeds[1])
    assert first["evaluation"] == second["evaluation"]
    for name, grad in first["grads"].items():
        assert torch.equal(grad, second["grads"][name])


def test_sharded_layers_are_refused_when_reversible(tmp_path):
    spawn("shard_layers", FORMS["reversible"] | DENSE, tmp_path, 2)
    assert "FSDP2's sharding of single layers" in torch.load(tmp_path / "said.pt")


def test_sharded_layers_train_when_ordinary(tmp_path):
    spawn("shard_layers", {"reversible": False} | DENSE, tmp_path, 2)
    assert torch.load(tmp_path / "said.pt") == ""


@pytest.mark.parametrize("name", FORMS)
def test_a_model_sharded_as_a_whole_trains(name, tmp_path):
    form = FORMS[name] | DENSE
    spawn("shard_root", form, tmp_path, 2)
    assert torch.load(tmp_path / "said.pt") == ""
    model = make_model(torch.float32, **form)
    model.loss(make_tokens(), make_tokens(1)).backward()
    found = torch.load(tmp_path / "grads.pt")
    assert found.keys() == {name for name, _ in model.named_parameters()}
    for name, p in model.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("how", ["shard_part", "shard_flat"])
@pytest.mark.parametrize(
    "form",
    [
        {"reversible": True, "ff_chunks": 1, "loss_chunks": 1},
        {"reversible": False, "ff_chunks": 1, "loss_chunks": 4},
        {"reversible": False, "ff_chunks": 1, "loss_chunks": 1},
    ],
)
def test_parts_that_are_sharded_apart_are_refused_where_they_are_recomputed(how, form, tmp_path):
    """Their parameters come and go during the call; their gradients were lost."""
    spawn(how, form | DENSE, tmp_path, 2)
    said = torch.load(tmp_path / "said.pt")
    if form["reversible"] or form["loss_chunks"] > 1:
        assert "needs a gradient and is no parameter of that part" in said
        assert "a shard of FSDP" in said
    else:
        assert said == ""
