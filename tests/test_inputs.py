"""Odd input is refused in one sentence, before anything is drawn or computed."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from small_models import BUCKETS, KERNELS, LSH, MODELS, QK, SIZES, TOKENS, V
from torch._subclasses.fake_tensor import FakeTensorMode

from baselines import Dense, DenseConfig
from reformer import Reformer, ReformerConfig, hash_buckets, lsh_attention
from reformer.inputs import MOST_BUCKETS, require_generator, require_targets, require_tokens
from reformer.loss import IGNORED, chunked_cross_entropy
from reformer.rounds import attend_rounds, hash_and_sort

models = pytest.mark.parametrize("name", MODELS)


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


def meta(x):
    return x.to("meta")


def fake(x):
    return FakeTensorMode().from_tensor(x)


WRONG_PAIRS = [
    ((QK[0], V[0]), "qk (2, 64, 8) and v (2, 64, 8) must both be (batch, heads, length, width)"),
    ((QK, V[:, :, :32]), "v (1, 2, 32, 8) must both be"),
    ((QK, V[..., :4]), "must both be (batch, heads, length, width)"),
    ((QK[..., :0], V[..., :0]), "qk is (1, 2, 64, 0); it must be (batch, heads, length, width)"),
    ((QK[:, :, :0], V[:, :, :0]), "length 0 is not a multiple of chunk_length 16; nearest"),
    ((QK[:, :, :20], V[:, :, :20]), "length 20 is not a multiple of chunk_length 16; nearest"),
    ((QK, None), "v NoneType must both be"),
    ((QK.numpy(), V), "qk ndarray and v (1, 2, 64, 8) must both be"),
    ((QK.double(), V), "qk is torch.float64 on cpu and v torch.float32 on cpu; both must be"),
    ((QK.to_sparse(), V), "qk: a tensor of layout torch.sparse_coo has no rows side by side"),
    ((QK, V.to_sparse()), "v: a tensor of layout torch.sparse_coo has no rows side by side"),
    ((QK, V.bfloat16()), "v torch.bfloat16 on cpu; both must be the same"),
    ((QK.long(), V.long()), "qk is torch.int64; it must be float32, bfloat16, float16 or float64"),
    ((QK, V.bool()), "v is torch.bool; it must be float32, bfloat16, float16 or float64"),
    ((torch.complex(QK, V), V), "qk is torch.complex64; it must be float32"),
    ((QK.to(torch.float8_e4m3fn), V), "qk is torch.float8_e4m3fn; it must be float32"),
    ((meta(QK), V), "qk is torch.float32 on meta and v torch.float32 on cpu; both must be"),
    ((fake(QK), fake(V)), "qk is fake, and what it meets is not; call this within its FakeT"),
    ((QK, fake(V)), "v is fake, and what it meets is not"),
]
WRONG_BUCKETS = [
    (
        BUCKETS[:, :, :1],
        "buckets are torch.int64 (1, 2, 1, 64); they must be integers (1, 2, 2, 64",
    ),
    (BUCKETS[..., :32], "(1, 2, 2, 32); they must be integers (1, 2, 2, 64)"),
    (BUCKETS.float(), "buckets are torch.float32 (1, 2, 2, 64); they must be integers"),
    (BUCKETS.bool(), "buckets are torch.bool (1, 2, 2, 64); they must be integers"),
    (BUCKETS.to(torch.complex64), "buckets are torch.complex64"),
    (BUCKETS.tolist(), "buckets are list, not a tensor"),
    (BUCKETS.to_sparse(), "buckets: a tensor of layout torch.sparse_coo has no rows side by side"),
    (meta(BUCKETS), "buckets are on meta and qk on cpu; both must be the same"),
    (BUCKETS - 1, "buckets start at -1; the first is 0"),
    (BUCKETS + 2**40, f"; the last can be {MOST_BUCKETS - 1}"),
    (BUCKETS * 2**30, f"; the last can be {MOST_BUCKETS - 1}"),
]
WRONG_CALLS = {
    **{
        f"pair: {says}": (lambda pair=pair, **o: lsh_attention(*pair, LSH, **o), says)
        for pair, says in WRONG_PAIRS
    },
    **{
        f"given hash: {says}": (lambda b=b, **o: lsh_attention(QK, V, LSH, buckets=b, **o), says)
        for b, says in WRONG_BUCKETS
    },
    "config": (
        lambda **o: lsh_attention(QK, V, {}, **o),
        "config is dict; attention takes an",
    ),
    "seed": (lambda **o: lsh_attention(QK, V, LSH, generator=3, **o), "generator is int; it must"),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", WRONG_CALLS)
def test_attention_refuses(name, kernel):
    call, sentence = WRONG_CALLS[name]
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(kernel=kernel)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_parts_of_attention_refuse_too(kernel):
    rounds = hash_and_sort(QK, LSH, kernel=kernel)
    for pair, sentence in WRONG_PAIRS:
        if "length" in sentence and "chunk_length" in sentence:
            continue
        with pytest.raises(ValueError, match=re.escape(sentence)):
            attend_rounds(*pair, rounds, LSH, kernel)
    for pair in ((QK[:, :1], V[:, :1]), (QK[:, :, :32], V[:, :, :32])):
        with pytest.raises(ValueError, match=r"order \(1, 2, 2, 64\).*must be \(1,"):
            attend_rounds(*pair, rounds, LSH, kernel)
    with pytest.raises(ValueError, match=r"must be \(1, 2, 3, 64\)"):
        attend_rounds(QK, V, rounds, replace(LSH, n_rounds=3), kernel)


def hashed(vectors=QK, n_buckets=8, n_rounds=2, **options):
    return lambda: hash_buckets(vectors, n_buckets=n_buckets, n_rounds=n_rounds, **options)


def model_with(*args, **options):
    return lambda: MODELS["reformer"]().loss(*args, **options)


NO_TOKENS = [
    (TOKENS[0], "tokens are (64,); they must be (batch, length)"),
    (TOKENS.unsqueeze(0), "tokens are (1, 2, 64); they must be (batch, length)"),
    (torch.tensor(3), "tokens are (); they must be (batch, length)"),
    (TOKENS.float(), "tokens are torch.float32; they must be int64 or int32"),
    (TOKENS.bool(), "tokens are torch.bool; they must be int64 or int32"),
    (TOKENS.byte(), "tokens are torch.uint8; they must be int64 or int32"),
    (TOKENS.tolist(), "tokens are list, not a tensor"),
    (TOKENS.to_sparse(), "tokens: a tensor of layout torch.sparse_coo has no rows side by side"),
    (meta(TOKENS), "tokens are on meta and the model on cpu; move one of them"),
    (TOKENS - 1, "tokens are from -1 to 62; this vocabulary is 0 to 63"),
    (TOKENS + 1, "tokens are from 1 to 64; this vocabulary is 0 to 63"),
    (TOKENS[:, :0], "the sequence has 0 tokens; this model takes 1 to 64"),
    (TOKENS.repeat(1, 2), "the sequence has 128 tokens; this model takes 1 to 64"),
]
NO_TARGETS = [
    (TOKENS[:, :-1], "targets are (2, 63); there must be one for each token, (2, 64)"),
    (TOKENS[:1], "targets are (1, 64); there must be one for each token, (2, 64)"),
    (TOKENS.flatten(), "targets are (128,); there must be one for each token, (2, 64)"),
    (TOKENS.t(), "targets are (64, 2); there must be one for each token, (2, 64)"),
    (TOKENS.float(), "targets are torch.float32; they must be int64 or int32"),
    (None, "targets are NoneType, not a tensor"),
    (TOKENS.to_sparse(), "targets: a tensor of layout torch.sparse_coo has no rows side by side"),
    (TOKENS - 1, "targets are from -1 to 62; they must be 0 to 63, or -100 not to count"),
    (TOKENS + 1, "targets are from 1 to 64; they must be 0 to 63, or -100 not to count"),
]
NO_POSITIONS = [
    (-20, "first_position is -20; it must be an integer of 0 or more"),
    (1.0, "first_position is 1.0; it must be an integer of 0 or more"),
    (True, "first_position is True; it must be an integer of 0 or more"),
    (None, "first_position is None; it must be an integer of 0 or more"),
    (1, "the sequence has 64 tokens; this model takes 1 to 63 from first_position 1 on"),
    (500, "first_position is 500; this model has positions 0 to 63"),
]


def elsewhere():
    """Attend in an order of which where buckets end is on another device."""
    rounds = hash_and_sort(QK, LSH)
    attend_rounds(QK, V, replace(rounds, ends_BHRN=rounds.ends_BHRN.to("meta")), LSH)


def past_only(tokens):
    """Ask for logits that depend on the past; nothing is computed before the refusal."""

    def call():
        model = MODELS["reformer"]().eval()
        model.draw_choices = None
        model.past_only_logits(tokens)

    return call


def averaged():
    model = MODELS["reformer"]()
    model.load_state_dict({name: x / 2 for name, x in model.state_dict().items()})


OTHER_REFUSALS = {
    **{f"loss, {s}": (model_with(x, x), s) for x, s in NO_TOKENS},
    **{f"call, {s}": (lambda x=x: MODELS["dense"]()(x), s) for x, s in NO_TOKENS},
    **{f"hidden, {s}": (lambda x=x: MODELS["plain"]().hidden(x), s) for x, s in NO_TOKENS},
    **{f"{s}": (model_with(TOKENS, x), s) for x, s in NO_TARGETS},
    **{f"{s}": (model_with(TOKENS, TOKENS, x), s) for x, s in NO_POSITIONS},
    "vectors": (hashed(QK[0]), "vectors is (2, 64, 8); it must be (batch, heads, length, width)"),
    "vectors, int": (hashed(QK.int()), "vectors is torch.int32; it must be float32"),
    "vectors, width 0": (hashed(QK[..., :0]), "vectors is (1, 2, 64, 0); it must be"),
    "vectors, sparse": (hashed(QK.to_sparse()), "vectors: a tensor of layout torch.sparse_coo"),
    "vectors, list": (hashed([1]), "vectors is list; it must be a tensor"),
    "n_rounds": (hashed(n_rounds=0), "n_rounds is 0; it must be an integer of 1 or more"),
    "n_rounds, many": (hashed(n_rounds=10**30), "it must be from 1 to 1099511627776"),
    "n_rounds, real": (hashed(n_rounds=2.0), "n_rounds is 2.0; it must be an integer"),
    "n_buckets": (hashed(n_buckets=0), "n_buckets is 0; it must be an integer of 1 or more"),
    "n_buckets, real": (hashed(n_buckets=8.0), "n_buckets is 8.0; it must be an integer"),
    "n_buckets, odd": (hashed(n_buckets=7), "n_buckets is 7; angular hashing makes 1 or an even"),
    "n_buckets, many": (hashed(n_buckets=2**31), "an even number of buckets, below 2^31"),
    "factors": (hashed(factors=(4, 4)), "factors (4, 4) make 16 buckets, but n_buckets is 8"),
    "factors, odd": (hashed(n_buckets=12, factors=(3, 4)), "one of factors is 3; angular hashing"),
    **{f"past only, {s}": (past_only(x), s) for x, s in NO_TOKENS},
    "averaged state": (averaged, "_extra_state in the state_dict is not the state of a generator"),
    "ends of buckets": (elsewhere, "order is on cpu and where buckets end is on meta; both must"),
    "generator": (hashed(generator=1), "generator is int; it must be a torch.Generator or None"),
    "loss of hidden": (
        lambda: chunked_cross_entropy(torch.zeros(2, 4, 3), torch.nn.Linear(3, 5), TOKENS, 1),
        "targets are (2, 64); there must be one for each token, (2, 4)",
    ),
    "config of another": (
        lambda: Reformer(DenseConfig(**SIZES)),
        "config is DenseConfig; Reformer takes a ReformerConfig",
    ),
    "config of another, dense": (
        lambda: Dense(ReformerConfig(**SIZES)),
        "config is ReformerConfig; Dense takes a DenseConfig",
    ),
}


@pytest.mark.parametrize("name", OTHER_REFUSALS)
def test_all_others_refuse(name):
    call, sentence = OTHER_REFUSALS[name]
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call()


def test_a_refused_call_draws_nothing():
    model, untouched = MODELS["reformer"](), MODELS["reformer"]()
    for tokens, targets in ((TOKENS, TOKENS + 1), (TOKENS + 1, TOKENS), (TOKENS[0], TOKENS)):
        with pytest.raises(ValueError, match=r"targets|tokens"):
            model.loss(tokens, targets)
    assert torch.equal(model(TOKENS), untouched(TOKENS))


def test_a_generator_of_another_device_is_refused(monkeypatch):
    monkeypatch.setattr(torch, "Generator", SimpleNamespace)
    on_gpu = SimpleNamespace(device=SimpleNamespace(type="cuda", __str__=lambda: "cuda"))
    with pytest.raises(
        ValueError, match=r"generator is on .*; hashes are drawn from one on the CPU"
    ):
        require_generator(on_gpu)


@pytest.mark.parametrize("check", ["tokens", "targets"])
def test_no_number_on_another_device_is_waited_for(monkeypatch, check):
    """On a GPU a look at the numbers would stop the queue; meta tensors have none to look at."""
    looked = []
    monkeypatch.setattr(torch.Tensor, "aminmax", lambda *a, **k: looked.append(a))
    on_meta = meta(TOKENS)
    if check == "tokens":
        require_tokens(on_meta, 4, torch.zeros(1, device="meta"))
    else:
        require_targets(on_meta, on_meta.shape, IGNORED, 4)
    assert not looked
