"""Half precision keeps small gradients, a training goes on bit-equal, the past is the past."""

import pytest
import torch
from oracle import FORMS, assert_same_gradients, gradients, make_model, make_tokens

from reformer import LSHConfig

SCALE, VOCABULARY = 65536.0, 8192


def head_gradients(loss_chunks, autocast):
    """The gradients of the output layer, divided by the loss scale again, in float64."""
    model = make_model(
        dtype=torch.float32 if autocast else torch.float64,
        vocabulary=VOCABULARY,
        length=256,
        loss_chunks=loss_chunks,
        n_layers=1,
    )
    generator = torch.Generator().manual_seed(0)
    tokens, targets = torch.randint(VOCABULARY, (2, 2, 256), generator=generator)
    with torch.autocast("cpu", torch.float16, enabled=autocast):
        loss = model.loss(tokens, targets)
    (SCALE * loss).backward()
    return [p.grad.double() / SCALE for p in model.head[1].parameters()]


def test_float16_loses_no_more_in_pieces_than_at_once():
    exact = head_gradients(1, autocast=False)
    whole, pieces = (head_gradients(n, autocast=True) for n in (1, 8))
    for name, e, w, p in zip(("weight", "bias"), exact, whole, pieces, strict=True):
        error_of_whole, error_of_pieces = ((x - e).norm() / e.norm() for x in (w, p))
        assert error_of_pieces <= 1.1 * error_of_whole, name
        assert (p == 0).float().mean() < 1e-4, name


def test_bfloat16_in_pieces_is_as_near():
    """Its exponents are float32's: nothing is too small."""
    exact = make_gradients_of_all(1, None)
    whole, pieces = (make_gradients_of_all(n, torch.bfloat16) for n in (1, 8))
    error_of_whole, error_of_pieces = ((x - exact).norm() / exact.norm() for x in (whole, pieces))
    assert error_of_pieces <= 1.1 * error_of_whole


def make_gradients_of_all(loss_chunks, half):
    dtype = torch.float64 if half is None else torch.float32
    model = make_model(dtype=dtype, loss_chunks=loss_chunks, n_layers=1)
    with torch.autocast("cpu", torch.bfloat16, enabled=half is not None):
        loss = model.loss(make_tokens(), make_tokens(1))
    loss.backward()
    return torch.cat([p.grad.double().flatten() for p in model.head.parameters()])


def train(model, optimizer, steps):
    for step in steps:
        loss = model.loss(make_tokens(step), make_tokens(step + 50))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("form", FORMS)
def test_a_training_goes_on_bit_equal_from_its_checkpoint(form, tmp_path):
    def start():
        model = make_model(**form, dropout=0.1)
        return model, torch.optim.AdamW(model.parameters(), lr=1e-2)

    model, optimizer = start()
    train(model, optimizer, range(3))
    torch.save([model.state_dict(), optimizer.state_dict()], tmp_path / "checkpoint.pt")
    train(model, optimizer, range(3, 6))
    again, optimizer = start()
    states = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    again.load_state_dict(states[0])
    optimizer.load_state_dict(states[1])
    train(again, optimizer, range(3, 6))
    for name, p in model.named_parameters():
        assert torch.equal(p, dict(again.named_parameters())[name]), name
    other, optimizer = start()
    train(other, optimizer, range(6))
    assert torch.equal(other.head[1].weight, model.head[1].weight)


def trained_model(length=128):
    """A model after a few steps, whose logits are not those of the first draw."""
    model = make_model(dtype=torch.float32, length=length, attention=LSHConfig(bucket_size=8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(10):
        tokens = torch.randint(64, (4, length), generator=generator)
        loss = model.loss(tokens, tokens.roll(-1, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("attention", ["lsh", "dense"])
def test_logits_of_the_past_do_not_depend_on_the_future(attention):
    model = make_model(attention=LSHConfig(bucket_size=8) if attention == "lsh" else "dense").eval()
    tokens, others = make_tokens(), make_tokens(1)
    logits = model.past_only_logits(tokens)
    assert logits.shape == (2, 64, 64)
    for cut in (1, 17, 40, 63):
        changed = torch.cat([tokens[:, :cut], others[:, cut:]], dim=1)
        assert torch.equal(model.past_only_logits(changed)[:, :cut], logits[:, :cut])
    torch.testing.assert_close(logits[:, -1], model(tokens)[:, -1])
    if attention == "dense":
        torch.testing.assert_close(logits, model(tokens))


def test_logits_of_the_past_are_for_evaluation():
    with pytest.raises(ValueError, match=r"call model.eval\(\) first"):
        make_model().past_only_logits(make_tokens())


def test_later_tokens_change_few_earlier_logits_a_little():
    """The chunk borders depend on all tokens (see lsh_attention): bounded, not nothing."""
    model, cut = trained_model(), 96
    generator = torch.Generator().manual_seed(2)
    one, two = torch.randint(64, (2, 16, 128), generator=generator)
    changed = torch.cat([one[:, :cut], two[:, cut:]], dim=1)
    with torch.no_grad():
        before, after = model(one)[:, :cut], model(changed)[:, :cut]
    change = (after - before).abs().amax(dim=-1)
    share = (change > 1e-5).float().mean()
    assert 0 < share < 0.6
    assert change.max() < 0.2 * before.std()


@pytest.mark.parametrize("form", [{"loss_chunks": 32}, {"ff_chunks": 32}])
def test_sums_over_many_pieces_are_as_exact_as_one_piece(form):
    """A model of bfloat16 weights: sums that were rounded after each piece would lose more."""
    tokens, targets = (make_tokens(seed).repeat(1, 8) for seed in (0, 1))
    usual = {"length": 512, "n_layers": 1, "attention": "dense", "reversible": False}

    def sums(dtype, **changes):
        model = make_model(torch.bfloat16, **usual, **changes).to(dtype)
        model.loss(tokens, targets).backward()
        part = model.head[1] if "loss_chunks" in form else model.layers[0].feed_forward.narrow
        return part.bias.grad.double()

    exact, whole = sums(torch.float64), sums(torch.bfloat16)
    error_of_whole, error_of_pieces = (
        (x - exact).norm() / exact.norm() for x in (whole, sums(torch.bfloat16, **form))
    )
    assert error_of_pieces <= 1.2 * error_of_whole


@pytest.mark.parametrize("form", FORMS)
def test_what_the_output_layer_sees_may_be_changed_in_place(form):
    """It is no view, and nobody else needs it."""

    def backward(double):
        model = make_model(**form, dropout=0.1)
        double(model.hidden(make_tokens())).sum().backward()
        return gradients(model)

    def in_place(hidden):
        hidden *= 2
        return hidden

    assert_same_gradients(backward(in_place), backward(lambda hidden: 2 * hidden))


def test_masks_are_drawn_in_inference_mode_too():
    """Of tokens that were made there PyTorch counts no changes."""
    model = make_model(dropout=0.5).train()
    with torch.inference_mode():
        tokens = make_tokens().clone()
        assert not torch.equal(model(tokens), model(tokens))


def test_logits_of_the_past_of_an_empty_sequence_are_refused():
    with pytest.raises(ValueError, match="0 tokens"):
        make_model().eval().past_only_logits(make_tokens()[:, :0])
