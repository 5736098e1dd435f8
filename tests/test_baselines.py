"""The three dense attentions equal a float64 oracle, and the dense twin equals the Reformer."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from baselines import Dense, DenseConfig
from baselines.attention import ATTEND, SLICE
from reformer import LSHConfig, Reformer, ReformerConfig, lsh_attention
from reformer.choices import Choices
from reformer.full_attention import fused_attention

LENGTHS = (1, 2, 3, 37, SLICE, SLICE + 1, 2 * SLICE + 45)


def random_qkv(seed, length, width=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    q, k, v, grad = torch.randn((4, 2, 3, length, width), generator=generator, dtype=torch.float64)
    return *(x.to(dtype).requires_grad_() for x in (2 * q, 2 * k, v)), grad.to(dtype)


def oracle(q, k, v, scale, exclude_self):
    """Attend position by position, as defined; to itself only when nothing else is left."""
    rows = []
    for i in range(q.shape[-2]):
        n_keys = max(1, i) if exclude_self else i + 1
        logits = scale * (q[..., i : i + 1, :] * k[..., :n_keys, :]).sum(dim=-1)
        weights = logits.exp() / logits.exp().sum(dim=-1, keepdim=True)
        rows.append((weights.unsqueeze(-1) * v[..., :n_keys, :]).sum(dim=-2))
    return torch.stack(rows, dim=-2)


def with_gradients(attend, q, k, v, grad, scale, exclude_self):
    out = attend(q, k, v, scale, exclude_self)
    grads = torch.autograd.grad(out, (q, k, v), grad, allow_unused=True)
    return [out, *(torch.zeros_like(q) if g is None else g for g in grads)]


@pytest.mark.parametrize("exclude_self", [True, False])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", ATTEND)
def test_equals_the_oracle(name, length, exclude_self):
    for seed in range(2):
        inputs = *random_qkv(seed, length), 0.7, exclude_self
        expected = with_gradients(oracle, *inputs)
        ours = with_gradients(ATTEND[name], *inputs)
        torch.testing.assert_close(ours, expected, rtol=1e-11, atol=1e-11)


def masked_sdpa(q, k, v, scale, exclude_self):
    """Run PyTorch's fused kernel under a mask.

    Its gradients err 2 to 9 times as much as naive's.
    """
    length = q.shape[-2]
    seen = torch.ones(length, length, dtype=torch.bool).tril(-1 if exclude_self else 0)
    seen[0, 0] = True
    return scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)


@pytest.mark.parametrize("exclude_self", [True, False])
@pytest.mark.parametrize(
    ("name", "plain"), [("memory_efficient", ATTEND["naive"]), ("sdpa", masked_sdpa)]
)
def test_float32_error_is_at_most_twice_plain_pytorchs(name, plain, exclude_self):
    for seed in range(3):
        exact = with_gradients(ATTEND["naive"], *random_qkv(seed, 200), 0.7, exclude_self)
        single = *random_qkv(seed, 200, dtype=torch.float32), 0.7, exclude_self
        references, ours = with_gradients(plain, *single), with_gradients(ATTEND[name], *single)
        for got, reference, truth in zip(ours, references, exact, strict=True):
            assert (got - truth).norm() <= 2 * (reference - truth).norm()
            assert (reference - truth).norm() < 1e-5 * truth.norm()


def test_fused_attention_is_the_one_that_runs():
    assert ATTEND["sdpa"] is fused_attention
    assert len({id(attend) for attend in ATTEND.values()}) == 3


@pytest.mark.parametrize("name", ATTEND)
def test_one_chunk_of_lsh_attention_is_shared_qk_attention(name):
    qk, _, v, grad = random_qkv(4, 96)
    config = LSHConfig(n_rounds=1, bucket_size=8, chunk_length=96, within_bucket=False)

    def dense(qk, v):
        keys = qk / qk.norm(dim=-1, keepdim=True)
        return ATTEND[name](qk, keys, v, 1.0, True)

    found = []
    for attend in (dense, lambda qk, v: lsh_attention(qk, v, config)):
        out = attend(qk, v)
        found.append([out, *torch.autograd.grad(out, (qk, v), grad)])
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-11)


SIZES = {"vocabulary": 17, "length": 48, "d_model": 16, "d_ff": 32, "n_heads": 2, "n_layers": 2}


def random_tokens(seed, length=48):
    return torch.randint(17, (2, length), generator=torch.Generator().manual_seed(seed))


def loss_and_gradients(model, tokens):
    loss = model.loss(tokens[:, :-1], tokens[:, 1:])
    return [loss, *torch.autograd.grad(loss, list(model.parameters()))]


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("shared_qk", [True, False])
def test_models_with_the_three_attentions_are_the_same_model(shared_qk, reversible):
    tokens = random_tokens(5)
    found = []
    for attention in ATTEND:
        model = Dense(
            DenseConfig(
                attention=attention,
                shared_qk=shared_qk,
                reversible=reversible,
                dropout=0.2,
                **SIZES,
            )
        )
        found.append(loss_and_gradients(model.double(), tokens))
    assert all(grad.abs().max() > 0 for grad in found[0])
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found[2], found[0], rtol=1e-10, atol=1e-10)


def test_ordinary_attention_follows_its_definition():
    """Head by head it computes softmax(q k / sqrt(d)) v between its projections."""
    config = DenseConfig(**SIZES)
    branch = Dense(config).double().layers[0].attention.eval()
    x = torch.randn(2, 11, 16, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    normed = branch.norm(x)
    heads = []
    for h in range(2):
        rows = slice(8 * h, 8 * h + 8)
        q, k, v = (normed @ p.weight[rows].T for p in (branch.to_q, branch.to_k, branch.to_v))
        heads.append(oracle(q, k, v, 1 / math.sqrt(8), exclude_self=False))
    expected = torch.cat(heads, dim=-1) @ branch.merge.weight.T
    torch.testing.assert_close(branch(x, Choices(0)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ATTEND)
def test_the_dense_twin_equals_the_reformer_with_full_attention(name):
    reformer = Reformer(ReformerConfig(attention="dense", **SIZES)).double().eval()
    dense = Dense(DenseConfig(attention=name, shared_qk=True, reversible=True, **SIZES)).double()
    weights = {key.replace("to_qk", "to_q"): w for key, w in reformer.state_dict().items()}
    dense.load_state_dict(weights)
    tokens = random_tokens(7, length=31)
    torch.testing.assert_close(dense(tokens), reformer(tokens), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("shared_qk", [True, False])
def test_training_learns(shared_qk, reversible):
    """The next token is this one + 1: near nothing is left to learn after 60 steps."""
    model = Dense(DenseConfig(shared_qk=shared_qk, reversible=reversible, **SIZES))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    start = torch.randint(17, (60, 8, 1), generator=torch.Generator().manual_seed(8))
    losses = []
    for first in start:
        tokens = (first + torch.arange(17)) % 17
        loss = model.loss(tokens[:, :-1], tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 2
    assert losses[-1] < 0.3


@pytest.mark.parametrize("unit_keys", [True, False])
@pytest.mark.parametrize("attend_self", [True, False])
@pytest.mark.parametrize("shared_qk", [True, False])
def test_the_keys_of_a_dense_model_and_whether_it_attends_to_itself(
    monkeypatch, unit_keys, attend_self, shared_qk
):
    """What attends gets the keys and the scale that the config says; both count with shared QK."""
    seen = []

    def attend(q, k, v, scale, exclude_self):
        seen.append((q, k, scale, exclude_self))
        return oracle(q, k, v, scale, exclude_self)

    monkeypatch.setitem(ATTEND, "naive", attend)
    switches = {"shared_qk": shared_qk, "unit_keys": unit_keys, "attend_self": attend_self}
    sizes = {"vocabulary": 7, "length": 8, "d_model": 16, "d_ff": 8, "n_heads": 2, "n_layers": 1}
    config = DenseConfig(**sizes, **switches, attention="naive", logit_scale=0.7)
    model = Dense(config).double()
    model(torch.randint(7, (2, 8), generator=torch.Generator().manual_seed(0)))
    [(q, k, scale, exclude_self)] = seen
    if not shared_qk:
        assert not torch.allclose(q, k)
        assert (scale, exclude_self) == (8**-0.5, False)
        return
    torch.testing.assert_close(k, q / q.norm(dim=-1, keepdim=True) if unit_keys else q)
    assert (scale, exclude_self) == (0.7 if unit_keys else 8**-0.5, not attend_self)
