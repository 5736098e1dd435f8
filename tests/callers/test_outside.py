"""What a recomputed part uses without owning it has its gradient, or is refused."""

import pytest
import torch
from oracle import FORMS, gradients, make_model, make_tokens, ordinary_autograd
from torch import nn


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def gate():
    return draw().requires_grad_()


class Cross(nn.Module):
    """Attention of a decoder to what an encoder made."""

    def __init__(self, memory):
        super().__init__()
        self.memory = memory

    def forward(self, x, choices):
        return torch.softmax(x @ self.memory.mT, -1) @ self.memory


class TiedHead(nn.Module):
    """An output layer that is tied to the embedding behind PyTorch's back."""

    def __init__(self, embedding):
        super().__init__()
        self.held = [embedding]

    def forward(self, hidden):
        return hidden @ self.held[0].weight.mT


class Held(nn.Module):
    """A linear layer in a plain list."""

    def __init__(self, linear):
        super().__init__()
        self.held = [linear]

    def forward(self, x):
        return self.held[0](x)


def encoder_memory(model):
    encoder = nn.Linear(8, 32).double()
    model.layers[1].attention = Cross(encoder(draw(2, 5, 8)))
    return list(encoder.parameters())


def hook(module):
    factor = gate()
    module.register_forward_hook(lambda one, inputs, out: out * factor)
    return [factor]


def buffer(model):
    factor = gate()
    model.layers[0].feed_forward.register_buffer("factor", factor)
    model.layers[0].feed_forward.widen.register_forward_hook(
        lambda one, inputs, out: out * model.layers[0].feed_forward.factor
    )
    return [factor]


def tied_head(model):
    model.head = TiedHead(model.embedding)
    return []


def in_a_list(model):
    linear = model.layers[0].feed_forward.narrow
    model.layers[0].feed_forward.narrow = Held(linear)
    return list(linear.parameters())


def others_weight(model):
    other = model.layers[1].attention.to_v.weight
    model.layers[0].attention.to_v.register_forward_hook(lambda one, inputs, out: out @ other)
    return []


def as_a_replica(part):
    """Replace the parameters of a part as DataParallel does in the copy for each GPU."""
    parameters = []
    for module in part.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                del module._parameters[name]
                setattr(module, name, parameter.view_as(parameter))
                parameters.append(parameter)
    return parameters


# which part of the model uses what it does not own, and how
CASES = {
    "an encoder's memory": ("attention", encoder_memory),
    "a factor in a hook on attention": (
        "attention",
        lambda model: hook(model.layers[0].attention),
    ),
    "a factor in a hook within": (
        "feed_forward",
        lambda model: hook(model.layers[1].feed_forward.widen),
    ),
    "a factor in a hook on the output layer": ("head", lambda model: hook(model.head[1])),
    "a buffer that needs a gradient": ("feed_forward", buffer),
    "a tied head": ("head", tied_head),
    "a module in a list": ("feed_forward", in_a_list),
    "another part's weight": ("attention", others_weight),
    "a replica's attention": (
        "attention",
        lambda model: as_a_replica(model.layers[0].attention),
    ),
    "a replica's feed-forward": (
        "feed_forward",
        lambda model: as_a_replica(model.layers[0].feed_forward),
    ),
    "a replica's head": ("head", lambda model: as_a_replica(model.head)),
}


def backward(form, make):
    """Return all gradients, of what is outside too."""
    torch.manual_seed(2)
    model = make_model(**form)
    outside = make(model)
    model.loss(make_tokens(), make_tokens(1)).backward()
    return {**gradients(model), **{f"outside {i}": x.grad for i, x in enumerate(outside)}}


def is_recomputed(part, form):
    if part == "head":
        return form["loss_chunks"] > 1
    return form["reversible"] or (part == "feed_forward" and form["ff_chunks"] > 1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("form", FORMS)
def test_it_is_right_or_refused(form, case):
    part, make = CASES[case]
    if is_recomputed(part, form):
        with pytest.raises(RuntimeError, match="needs a gradient and is no parameter"):
            backward(form, make)
        return
    found = backward(form, make)
    with ordinary_autograd():
        expected = backward(form, make)
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        assert wanted is not None
        torch.testing.assert_close(found[name], wanted, rtol=1e-8, atol=1e-11, msg=name)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("form", FORMS)
def test_what_is_compiled_by_jit_is_refused_where_it_is_recomputed(form):
    model = make_model(**form)
    linear = model.layers[0].feed_forward.widen
    model.layers[0].feed_forward.widen = torch.jit.script(linear)
    if is_recomputed("feed_forward", form):
        with pytest.raises(RuntimeError, match=r"compiled by torch\.jit"):
            model.loss(make_tokens(), make_tokens(1))
    else:
        model.loss(make_tokens(), make_tokens(1)).backward()
        assert linear.weight.grad.abs().max() > 0


def test_a_layer_without_a_shape_yet_is_refused_until_it_has_one():
    model = make_model()
    model.layers[0].feed_forward.widen = nn.LazyLinear(48, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="no shape yet"):
        model.loss(make_tokens(), make_tokens(1))
    with torch.no_grad():
        model(make_tokens())
    model.loss(make_tokens(), make_tokens(1)).backward()
    assert model.layers[0].feed_forward.widen.weight.grad.abs().max() > 0


@pytest.mark.parametrize("part", ["attention", "feed_forward"])
@pytest.mark.parametrize("form", FORMS)
def test_a_part_that_is_switched_off_has_no_gradients(form, part):
    """An ablation or a stopped gradient: its output depends on nothing."""

    def ablated():
        model = make_model(**form)
        getattr(model.layers[1], part).register_forward_hook(
            lambda one, inputs, out: torch.zeros_like(out)
        )
        model.loss(make_tokens(), make_tokens(1)).backward()
        return gradients(model)

    found = ablated()
    with ordinary_autograd():
        expected = ablated()
    for name, wanted in expected.items():
        if f"layers.1.{part}" in name:
            assert wanted is None
            assert found[name] is None or not found[name].any()
        else:
            torch.testing.assert_close(found[name], wanted, rtol=1e-8, atol=1e-11, msg=name)
