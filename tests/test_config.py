"""Every field of every config has an effect, and every illegal value has its sentence."""

import re
from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch

from baselines import Dense, DenseConfig
from reformer import LSHConfig, Reformer, ReformerConfig, lsh_attention
from reformer.checks import refuse_unknown

LENGTH = 64


# Every field has an effect


def generator():
    return torch.Generator().manual_seed(1)


QK, V = torch.randn((2, 1, 2, LENGTH, 8), generator=generator(), dtype=torch.float64)
LSH = LSHConfig(n_rounds=2, bucket_size=8, chunk_length=8)
LSH_CHANGES = {
    "n_rounds": 3,
    "bucket_size": 4,
    "chunk_length": 16,
    "chunks_before": 0,
    "causal": False,
    "within_bucket": False,
    "correct_duplicates": False,
    "logit_scale": 0.5,
    "rotation": "normal",
}


def attended(config, qk=QK, v=V):
    return lsh_attention(qk, v, config, generator=generator())


@pytest.mark.parametrize("field", [f.name for f in fields(LSHConfig) if f.name != "factorize_hash"])
def test_every_field_of_lsh_config_changes_the_output(field):
    """A new field without a line in LSH_CHANGES fails here."""
    assert torch.equal(attended(LSH), attended(replace(LSH)))
    changed = attended(replace(LSH, **{field: LSH_CHANGES[field]}))
    assert (changed - attended(LSH)).abs().max() > 1e-3


def test_factorize_hash_changes_the_hash_from_128_buckets_on():
    draw = torch.randn((2, 1, 1, 256, 8), generator=generator(), dtype=torch.float64)
    config = LSHConfig(n_rounds=1, bucket_size=2)
    assert config.hash_factors(256) == (8, 16)
    assert replace(config, factorize_hash=False).hash_factors(256) == (128,)
    changed = attended(replace(config, factorize_hash=False), *draw)
    assert (changed - attended(config, *draw)).abs().max() > 1e-3
    few = config.hash_factors(254)
    assert few == replace(config, factorize_hash=False).hash_factors(254) == (128,)


def test_chunk_length_none_is_two_mean_buckets():
    config = LSHConfig(bucket_size=4)
    assert config.m == 8
    assert torch.equal(attended(config), attended(replace(config, chunk_length=8)))


SHARED = {
    "vocabulary": 11,
    "length": LENGTH,
    "d_model": 16,
    "d_ff": 32,
    "n_heads": 2,
    "n_layers": 2,
}
REFORMER = ReformerConfig(attention=LSH, kernel="plain", **SHARED)
DENSE = DenseConfig(**SHARED)
SHARED_QK = DenseConfig(**SHARED, shared_qk=True)
SHARED_CHANGES = {  # field: (another value, what it changes, as `seen` names it)
    "vocabulary": (13, "logits"),
    "length": (96, "longest"),
    "d_model": (32, "logits"),
    "d_ff": (48, "logits"),
    "n_heads": (4, "logits"),
    "n_layers": (3, "logits"),
    "ff_chunks": (4, "longest piece of the feed-forward layer"),
    "loss_chunks": (4, "longest piece of the loss"),
    "dropout": (0.3, "logits in training"),
    "axial_positions": ((8, 8), "logits"),
    "embedding_std": (0.02, "logits"),
    "positions_start": ("normal", "logits"),
    "tie_embeddings": (True, "logits"),
    "seed": (7, "logits"),
}
CHANGES = [
    *((REFORMER, f, *change) for f, change in SHARED_CHANGES.items()),
    *((DENSE, f, *change) for f, change in SHARED_CHANGES.items()),
    (REFORMER, "attention", "dense", "logits"),
    (REFORMER, "attention", (LSH, "dense"), "logits"),
    (REFORMER, "kernel", "blocked", "kernel"),
    (REFORMER, "reversible", False, "logits"),
    (DENSE, "attention", "naive", "kernel"),
    (DENSE, "shared_qk", True, "logits"),
    (SHARED_QK, "unit_keys", False, "logits"),
    (SHARED_QK, "attend_self", True, "logits"),
    (SHARED_QK, "logit_scale", 0.5, "logits"),
    (DENSE, "reversible", True, "logits"),
]


def seen(config):
    """Return all that can be seen of a model from outside, by name."""
    model = (Reformer if isinstance(config, ReformerConfig) else Dense)(config)
    tokens = torch.randint(11, (2, LENGTH), generator=generator())
    pieces = {"ff": [], "loss": []}
    watch_pieces(model.layers[0].feed_forward.widen, pieces["ff"])
    watch_pieces(model.head[-1], pieces["loss"])
    with torch.no_grad():
        model.loss(tokens, tokens)
        longest_pieces = {name: max(lengths) for name, lengths in pieces.items()}
        model.generator.manual_seed(3)  # the weights of another seed are "logits" below
        in_training = model(tokens)
        logits = model.eval()(tokens)
    longest = next(n for n in range(LENGTH, 200) if not accepts(model, n + 1))
    return {
        "logits": logits,
        "logits in training": in_training,
        "longest": longest,
        "longest piece of the feed-forward layer": longest_pieces["ff"],
        "longest piece of the loss": longest_pieces["loss"],
        "kernel": model.kernel,
    }


def watch_pieces(module, lengths):
    module.register_forward_hook(lambda _, __, out: lengths.append(out.shape[1]))


def accepts(model, length):
    try:
        model(torch.zeros(1, length, dtype=torch.long))
    except ValueError:
        return False
    return True


def same(a, b):
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize(
    ("base", "field", "value", "changed"),
    CHANGES,
    ids=[f"{type(c[0]).__name__}-{c[1]}" for c in CHANGES],
)
def test_every_field_of_a_model_config_has_its_effect(base, field, value, changed):
    before, after = seen(base), seen(replace(base, **{field: value}))
    assert not same(before[changed], after[changed])
    if changed not in ("logits", "logits in training"):
        others = [n for n in before if n != changed and not n.startswith("logits")]
        assert all(same(before[name], after[name]) for name in others)
    if changed == "logits in training":
        assert same(before["logits"], after["logits"])


@pytest.mark.parametrize("config", [REFORMER, DENSE])
def test_no_field_is_forgotten_above(config):
    tested = {field for base, field, *_ in CHANGES if type(base) is type(config)}
    assert tested == {f.name for f in fields(config)}


def test_the_kernel_asked_for_is_the_one_that_runs(monkeypatch):
    from reformer import kernels

    ran = []
    for name, module in kernels.KERNELS.items():

        def watched(*args, original=module.attend, name=name):
            ran.append(name)
            return original(*args)

        monkeypatch.setattr(module, "attend", watched)
    tokens = torch.zeros(1, 16, dtype=torch.long)
    # a first call of compiled takes 10 s, and native needs a compiler
    for name in ("plain", "blocked", "flex", kernels.pick("auto", torch.empty(0))):
        ran.clear()
        model = Reformer(replace(REFORMER, kernel=name))
        model(tokens)
        assert set(ran) == {name} == {model.kernel}
    ran.clear()
    model = Reformer(replace(REFORMER, kernel="auto"))
    model(tokens)
    assert set(ran) == {model.kernel}


# Illegal values and their sentences

ILLEGAL_LSH = [
    ({"n_rounds": 0}, "n_rounds is 0; it must be an integer of 1 or more"),
    ({"n_rounds": 2.0}, "n_rounds is 2.0; it must be an integer"),
    ({"n_rounds": True}, "n_rounds is True; it must be an integer"),
    ({"bucket_size": -4}, "bucket_size is -4; it must be an integer of 1 or more"),
    ({"chunk_length": 0}, "chunk_length is 0; it must be an integer of 1 or more"),
    ({"chunks_before": -1}, "chunks_before is -1; it must be an integer of 0 or more"),
    ({"chunks_before": 0.5}, "chunks_before is 0.5; it must be an integer of 0 or more"),
    ({"logit_scale": 0.0}, "logit_scale is 0.0; it must be positive"),
    ({"logit_scale": float("nan")}, "logit_scale is nan; it must be positive"),
]
ILLEGAL_MODEL = [
    *(
        ({name: value}, f"{name} is {value}; it must be an integer of 1 or more")
        for name in ("vocabulary", "length", "d_model", "d_ff", "n_heads", "n_layers")
        for value in (0, -1, 1.5)
    ),
    ({"ff_chunks": 0}, "ff_chunks is 0; it must be an integer of 1 or more"),
    ({"loss_chunks": 0}, "loss_chunks is 0; it must be an integer of 1 or more"),
    ({"n_heads": 3}, "d_model 16 is not a multiple of n_heads 3"),
    ({"dropout": 1.0}, "dropout is 1.0; it must be in [0, 1)"),
    ({"embedding_std": 0.0}, "embedding_std is 0.0; it must be positive and finite"),
    ({"positions_start": "normals"}, "unknown positions_start 'normals'; did you mean 'normal'?"),
    ({"dropout": -0.1}, "dropout is -0.1; it must be in [0, 1)"),
    ({"axial_positions": (8,)}, "axial_positions is (8,); it must be (rows, columns)"),
    ({"axial_positions": (0, 99)}, "axial_positions is (0, 99); it must be (rows, columns)"),
    ({"axial_positions": (8, 8), "d_model": 2, "n_heads": 1}, "a quarter of it to the rows"),
    ({"axial_positions": (7, 9)}, "axial_positions 7 x 9 hold 63 positions, but length is 64"),
]


@pytest.mark.parametrize(("values", "sentence"), ILLEGAL_LSH, ids=str)
def test_lsh_config_refuses(values, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        LSHConfig(**values)


@pytest.mark.parametrize("config", [ReformerConfig, DenseConfig])
@pytest.mark.parametrize(("values", "sentence"), ILLEGAL_MODEL, ids=str)
def test_model_configs_refuse(config, values, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        config(**SHARED | values)


def test_names_are_refused_with_the_nearest():
    sentence = "unknown attention 'spda'; did you mean 'sdpa'? legal: naive, memory_efficient, sdpa"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        DenseConfig(attention="spda", **SHARED)
    with pytest.raises(ValueError, match=re.escape("did you mean 'dense'? legal: dense")):
        ReformerConfig(attention="dens", **SHARED)
    with pytest.raises(ValueError, match=r"^unknown fruit 'xyz'; legal: apple, pear$"):
        refuse_unknown("xyz", ["apple", "pear"], "fruit")
    refuse_unknown("pear", iter(["apple", "pear"]), "fruit")
    with pytest.raises(ValueError, match="did you mean 'blocked'"):
        Reformer(replace(REFORMER, kernel="blokced"))(torch.zeros(1, 8, dtype=torch.long))


@pytest.mark.parametrize(
    ("attention", "said"),
    [
        ((), "attention is (); it must name the attention of at least one layer"),
        (("dense", "dens"), "unknown attention 'dens'; did you mean 'dense'?"),
        (({"n_round": 2},), "unknown setting of LSHConfig 'n_round'; did you mean 'n_rounds'?"),
    ],
)
def test_layers_that_take_turns_have_attentions_that_exist(attention, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        ReformerConfig(attention=attention, **SHARED)


def test_an_unknown_rotation_is_refused():
    with pytest.raises(ValueError, match=r"unknown rotation 'norml'; did you mean 'normal'\?"):
        LSHConfig(rotation="norml")


@pytest.mark.parametrize("config", [LSH, REFORMER, DENSE])
def test_configs_are_frozen_keyword_only_and_refuse_other_names(config):
    with pytest.raises(FrozenInstanceError):
        setattr(config, fields(config)[0].name, 5)
    with pytest.raises(TypeError, match="positional"):
        type(config)(4)
    with pytest.raises(TypeError, match="n_hashes"):
        replace(config, n_hashes=8)
    assert not hasattr(config, "__dict__")
    assert hash(config) == hash(replace(config))


def test_the_defaults_are_the_papers():
    config = LSHConfig()
    assert (config.n_rounds, config.chunks_before, config.logit_scale) == (4, 1, 1.0)
    assert config.causal
    assert config.within_bucket
    assert config.correct_duplicates
    for length in (1024, 4096, 65536):
        assert config.m * config.n_buckets(length) == 2 * length  # m = 2 l / n_buckets
