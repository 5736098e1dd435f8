"""A config is the same after a copy, through JSON, and from the scalars of other libraries."""

import copy
import io
import json
import pickle
import re
from dataclasses import asdict, replace
from enum import IntEnum

import numpy as np
import pytest
import torch

from baselines import Dense, DenseConfig
from reformer import LSHConfig, Reformer, ReformerConfig
from reformer.config import KERNELS
from reformer.kernels import KERNELS as MODULES

LSH = LSHConfig(n_rounds=2, bucket_size=8, chunk_length=8, logit_scale=0.5, causal=False)
SIZES = {"vocabulary": 11, "length": 64, "d_model": 16, "d_ff": 32, "n_heads": 2, "n_layers": 2}
CONFIGS = {
    "lsh": LSH,
    "lsh defaults": LSHConfig(),
    "reformer": ReformerConfig(**SIZES, attention=LSH, axial_positions=(8, 9), kernel="plain"),
    "shared-QK": ReformerConfig(
        **SIZES,
        attention="dense",
        dropout=0.1,
        embedding_std=0.02,
        positions_start="normal",
        seed=-3,
    ),
    "in turns": ReformerConfig(**SIZES, attention=(LSHConfig(rotation="normal"), "dense", LSH)),
    "dense": DenseConfig(**SIZES, attention="naive", axial_positions=(8, 8), reversible=True),
    "standard": DenseConfig(**SIZES, shared_qk=True, unit_keys=False, attend_self=True),
}
WAYS = {
    "asdict": lambda c: type(c)(**asdict(c)),
    "json": lambda c: type(c)(**json.loads(json.dumps(asdict(c)))),
    "pickle": lambda c: pickle.loads(pickle.dumps(c)),
    "deepcopy": copy.deepcopy,
    "replace": replace,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CONFIGS)
def test_an_equal_config_comes_out(name, way):
    config, again = CONFIGS[name], WAYS[way](CONFIGS[name])
    assert again == config
    assert hash(again) == hash(config)
    assert repr(again) == repr(config)


SCALARS = {
    "numpy": (np.int64, np.float64, np.bool_),
    "numpy, short": (np.uint8, np.float16, np.bool_),
    "numpy arrays": (np.array, np.array, np.array),
    "torch": (torch.tensor, torch.tensor, torch.tensor),
}


@pytest.mark.parametrize("library", SCALARS)
@pytest.mark.parametrize("name", CONFIGS)
def test_scalars_of_other_libraries_become_plain_python(name, library):
    integer, real, boolean = SCALARS[library]

    def wrapped(value):
        if isinstance(value, bool):
            return boolean(value)
        if isinstance(value, tuple):
            return [wrapped(part) for part in value]
        if isinstance(value, int):
            return value if value < 0 and library == "numpy, short" else integer(value)
        return real(value) if value in (0.0, 0.5, 1.0) else value

    plain = asdict(CONFIGS[name])
    attention = plain.get("attention")
    if isinstance(attention, dict):
        plain["attention"] = {key: wrapped(value) for key, value in attention.items()}
    given = {k: v if k == "attention" else wrapped(v) for k, v in plain.items()}
    config = type(CONFIGS[name])(**given)
    assert repr(config) == repr(CONFIGS[name])
    assert (config, hash(config)) == (CONFIGS[name], hash(CONFIGS[name]))
    json.dumps(asdict(config))


class Four(IntEnum):
    VALUE = 4


def test_a_named_integer_counts():
    assert repr(LSHConfig(n_rounds=Four.VALUE)) == repr(LSHConfig(n_rounds=4))


def test_a_temperature_is_a_float_of_which_kernels_are_compiled_once():
    for given in (2, np.int64(2), Four.VALUE):
        config = LSHConfig(logit_scale=given)
        assert repr(config) == repr(LSHConfig(logit_scale=float(given)))


REFUSED = [
    (LSHConfig, {"n_rounds": np.float64(4)}, "n_rounds is 4.0; it must be an integer of 1 or more"),
    (LSHConfig, {"n_rounds": np.bool_(True)}, "n_rounds is True; it must be an integer"),
    (LSHConfig, {"n_rounds": np.array([4])}, "n_rounds is array([4]); it must be an integer"),
    (LSHConfig, {"n_rounds": torch.tensor(2.0)}, "n_rounds is 2.0; it must be an integer"),
    (LSHConfig, {"n_rounds": "4"}, "n_rounds is '4'; it must be an integer"),
    (LSHConfig, {"bucket_size": None}, "bucket_size is None; it must be an integer"),
    (LSHConfig, {"chunk_length": False}, "chunk_length is False; it must be an integer"),
    (LSHConfig, {"chunks_before": True}, "chunks_before is True; it must be an integer of 0"),
    (LSHConfig, {"chunks_before": None}, "chunks_before is None; it must be an integer of 0"),
    (LSHConfig, {"causal": "false"}, "causal is 'false'; it must be True or False"),
    (LSHConfig, {"within_bucket": 1}, "within_bucket is 1; it must be True or False"),
    (LSHConfig, {"correct_duplicates": None}, "correct_duplicates is None; it must be True"),
    (LSHConfig, {"factorize_hash": 0.0}, "factorize_hash is 0.0; it must be True or False"),
    (LSHConfig, {"logit_scale": True}, "logit_scale is True; it must be positive and finite"),
    (LSHConfig, {"logit_scale": "1"}, "logit_scale is '1'; it must be positive and finite"),
    (LSHConfig, {"logit_scale": np.inf}, "logit_scale is inf; it must be positive and finite"),
    (LSHConfig, {"logit_scale": 10**400}, "it must be positive and finite"),
    (DenseConfig, SIZES | {"logit_scale": 0}, "logit_scale is 0; it must be positive and finite"),
    *(
        (kind, SIZES | values, sentence)
        for kind in (ReformerConfig, DenseConfig)
        for values, sentence in [
            ({"d_model": 16.0}, "d_model is 16.0; it must be an integer of 1 or more"),
            ({"d_ff": True}, "d_ff is True; it must be an integer of 1 or more"),
            ({"reversible": "no"}, "reversible is 'no'; it must be True or False"),
            ({"dropout": "0.1"}, "dropout is '0.1'; it must be in [0, 1)"),
            ({"embedding_std": "1"}, "embedding_std is '1'; it must be positive and finite"),
            ({"dropout": False}, "dropout is False; it must be in [0, 1)"),
            ({"dropout": float("nan")}, "dropout is nan; it must be in [0, 1)"),
            ({"seed": 1.0}, "seed is 1.0; it must be an integer from -2^63 to 2^64 - 1"),
            ({"seed": None}, "seed is None; it must be an integer"),
            ({"seed": 2**64}, f"seed is {2**64}; it must be an integer"),
            ({"axial_positions": (8.0, 8)}, "axial_positions is (8.0, 8); it must be (rows, co"),
            ({"axial_positions": (True, 64)}, "axial_positions is (True, 64); it must be (rows"),
            (
                {"axial_positions": 64},
                "axial_positions is 64; it must be (rows, columns), integers",
            ),
            ({"axial_positions": "88"}, "axial_positions is '88'; it must be (rows, columns)"),
        ]
    ),
    (ReformerConfig, SIZES | {"kernel": "blokced"}, "unknown kernel 'blokced'; did you mean 'bl"),
    (ReformerConfig, SIZES | {"kernel": None}, "unknown kernel None; legal: auto, plain"),
    (ReformerConfig, SIZES | {"attention": None}, "unknown attention None; legal: dense"),
    (
        ReformerConfig,
        SIZES | {"attention": {"n_round": 4}},
        "unknown setting of LSHConfig 'n_round'; did you mean 'n_rounds'?",
    ),
    (ReformerConfig, SIZES | {"attention": {"n_rounds": 0}}, "n_rounds is 0; it must be an int"),
    (DenseConfig, SIZES | {"attention": LSH}, "attention is LSHConfig(n_rounds=2"),
    (DenseConfig, SIZES | {"attention": {}}, "attention is {}; it must be a name"),
    (DenseConfig, SIZES | {"shared_qk": 1}, "shared_qk is 1; it must be True or False"),
]


@pytest.mark.parametrize(("kind", "values", "sentence"), REFUSED, ids=lambda x: str(x)[-60:])
def test_what_is_no_such_value_is_refused(kind, values, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        kind(**values)


def test_the_kernels_that_a_config_names_are_those_there_are():
    assert set(KERNELS) == {"auto", *MODULES}
    for kernel in KERNELS:
        ReformerConfig(**SIZES, kernel=kernel)


# A copy of a model goes on with the same hashes


def through_a_file(model):
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


MODEL_WAYS = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "file": through_a_file,
}


@pytest.mark.parametrize("way", MODEL_WAYS)
@pytest.mark.parametrize("trained", [False, True])
def test_a_copied_model_draws_what_the_first_would_have_drawn(way, trained):
    model = Reformer(ReformerConfig(**SIZES, attention=LSHConfig(n_rounds=2, bucket_size=4)))
    tokens = torch.randint(11, (2, 64), generator=torch.Generator().manual_seed(0))
    if trained:
        model.loss(tokens, tokens).backward()
    again = MODEL_WAYS[way](model)
    assert again.config == model.config
    assert again.generator is not model.generator
    expected = [model.loss(tokens, tokens).item() for _ in range(3)]
    assert len(set(expected)) == 3
    assert [again.loss(tokens, tokens).item() for _ in range(3)] == expected
    assert torch.equal(again.eval()(tokens), model.eval()(tokens))


@pytest.mark.parametrize("way", MODEL_WAYS)
def test_a_copied_dense_model_draws_the_same_dropout(way):
    model = Dense(DenseConfig(**SIZES, dropout=0.2))
    tokens = torch.zeros(1, 8, dtype=torch.long)
    again = MODEL_WAYS[way](model)
    assert torch.equal(model(tokens), again(tokens))
