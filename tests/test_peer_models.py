"""The published Reformers train as whole models, and their adapters refuse what they cannot do."""

import math
import re
import sys
from dataclasses import replace

import pytest
import torch

from baselines.config import PEERS
from baselines.peers import peer_attention, peer_model
from reformer import LSHConfig, ReformerConfig
from suites.base import grid, make_case, unique
from suites.engine.job import Job
from suites.engine.measure.device import CPU
from suites.engine.measure.steps import build_step
from suites.engine.sweep.planning import find_suites
from suites.settings import DEFAULTS, Settings

PACKAGES = {name: name.removesuffix("-exact").replace("-", "_") for name in PEERS}


@pytest.fixture(params=PEERS)
def name(request):
    pytest.importorskip(PACKAGES[request.param])
    return request.param


def model_settings(**changes):
    settings = {
        "vocabulary": 50,
        "length": 128,
        "d_model": 32,
        "d_ff": 64,
        "n_heads": 2,
        "n_layers": 2,
        "attention": LSHConfig(n_rounds=2, bucket_size=8),
    }
    return ReformerConfig(**settings | changes)


def random_batch(settings, seed=12):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(settings.vocabulary, (2, settings.length + 1), generator=generator)
    return tokens[:, :-1], tokens[:, 1:]


@pytest.mark.parametrize("changes", [{}, {"ff_chunks": 4}, {"axial_positions": (16, 8)}], ids=str)
def test_model_trains_a_step(name, changes):
    settings = model_settings(**changes)
    batch = random_batch(settings)
    state = torch.get_rng_state()
    model = peer_model(name, settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loss = model.loss(*batch)
    loss.backward()
    assert abs(loss.item() - math.log(settings.vocabulary)) < 0.3
    assert model.kernel == name
    assert model(batch[0]).shape == (2, settings.length, settings.vocabulary)
    for parameter, weight in model.named_parameters():
        if parameter == "peer.lm_head.bias":  # transformers declares it and never reads it
            assert weight.grad is None
            continue
        assert weight.grad is not None, f"{parameter} has no gradient"
        assert weight.grad.isfinite().all(), f"{parameter} has an infinite gradient"
        assert weight.grad.abs().max() > 0, f"{parameter} has gradient zero"
    optimizer.step()
    assert model.loss(*batch) < loss - 0.05
    assert torch.equal(state, torch.get_rng_state())


def test_model_is_repeatable(name):
    """Two trainings with one seed are the same, whatever the global generator holds."""
    settings = model_settings()
    losses = []
    for trial in range(2):
        torch.manual_seed(trial)
        model = peer_model(name, settings)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(3):
            optimizer.zero_grad()
            loss = model.loss(*random_batch(settings, seed=step))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[:3] == losses[3:]
    batch = random_batch(settings)
    assert model.loss(*batch).item() != model.loss(*batch).item()  # new hashes in training
    model.eval()
    assert model.loss(*batch).item() == model.loss(*batch).item()


def test_model_settings_reach_the_peer(name):
    settings = model_settings(n_layers=3)
    model = peer_model(name, settings)
    cores = [m for m in model.modules() if type(m).__name__ in ("LSHAttention", "LSHSelfAttention")]
    if name == "transformers":
        assert len(cores) == 3
        assert all(c.num_hashes == 2 and c.chunk_length == 16 and c.is_decoder for c in cores)
        assert all(c.num_buckets == 16 for c in cores)
        return
    cores = [core for core in cores if hasattr(core, "n_hashes")]
    exact = name == "reformer-pytorch-exact"
    assert len(cores) == 3
    assert all(c.n_hashes == 2 and c.bucket_size == 16 and c.causal for c in cores)
    assert all(c._attend_across_buckets is c._allow_duplicate_attention is not exact for c in cores)
    assert model.peer.reformer.layers.reverse_thres == 0


def test_reversible_layers_have_the_gradients_of_ordinary_ones():
    pytest.importorskip("reformer_pytorch")
    gradients = []
    for reversible in (True, False):
        settings = model_settings(reversible=reversible)
        model = peer_model("reformer-pytorch-exact", settings)
        model.loss(*random_batch(settings)).backward()
        gradients.append([weight.grad for weight in model.parameters()])
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)


def test_layers_in_pieces_would_have_wrong_gradients():
    """So the adapter leaves `attn_chunks` alone in models, though the README advises it."""
    peer = pytest.importorskip("reformer_pytorch.reformer_pytorch")
    gradients = []
    for reversible in (True, False):
        settings = model_settings(reversible=reversible)
        model = peer_model("reformer-pytorch-exact", settings)
        layers = [m for m in model.modules() if isinstance(m, peer.LSHSelfAttention)]
        assert [layer.attn_chunks for layer in layers] == [1] * len(layers)
        for layer in layers:
            layer.attn_chunks = settings.n_heads
        model.loss(*random_batch(settings)).backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    found, expected = gradients
    assert (found - expected).norm() > 0.01 * expected.norm()


def test_refuses_what_a_peer_cannot_do(name):
    with pytest.raises(ValueError, match=r"legal: reformer-pytorch, .*-exact, transformers"):
        peer_attention("reformer-pytorhc", LSHConfig(), seed=0)
    with pytest.raises(ValueError, match="did you mean 'transformers'"):
        peer_model("transformer", ReformerConfig(vocabulary=8, length=64))
    with pytest.raises(ValueError, match="causal"):
        peer_attention(name, LSHConfig(causal=False), seed=0)
    with pytest.raises(ValueError, match="nearest legal: 64, 128"):
        peer_attention(name, LSHConfig(), seed=0)(*torch.randn(2, 1, 1, 100, 16))
    for change in ({"attention": "dense"}, {"dropout": 0.1}, {"length": 100}):
        with pytest.raises(ValueError, match=next(iter(change))):
            peer_model(name, replace(model_settings(), **change))


def test_refuses_what_only_one_peer_cannot_do():
    for package in PACKAGES.values():
        pytest.importorskip(package)
    with pytest.raises(ValueError, match="one chunk back"):
        peer_attention("reformer-pytorch", LSHConfig(chunks_before=2), seed=0)
    with pytest.raises(ValueError, match="192 is not a multiple of 128"):
        peer_attention("reformer-pytorch", LSHConfig(), seed=0)(*torch.randn(2, 1, 1, 192, 16))
    with pytest.raises(ValueError, match="d_ff"):
        peer_model("reformer-pytorch", replace(model_settings(), d_ff=100))
    with pytest.raises(ValueError, match="reversible"):
        peer_model("transformers", replace(model_settings(), reversible=False))
    with pytest.raises(ValueError, match="ff_chunks 3"):
        peer_model("transformers", replace(model_settings(), ff_chunks=3))


@pytest.mark.parametrize("missing", PEERS)
def test_a_missing_package_says_how_to_install_it(missing, monkeypatch):
    for module in list(sys.modules):
        if module.split(".")[0] == PACKAGES[missing]:
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, PACKAGES[missing], None)
    for build in (
        lambda: peer_attention(missing, LSHConfig(), seed=0),
        lambda: peer_model(missing, model_settings()),
    ):
        with pytest.raises(ValueError, match=r"cannot be imported .*constraints.txt .*\[peers\]"):
            build()


CANNOT = [
    ("reformer-pytorch", {"dropout": 0.1}, "dropout is 0.1; a peer is measured without"),
    ("transformers", {"dropout": 0.1}, "dropout is 0.1; a peer is measured without"),
    ("transformers", {"reversible": False}, "reversible is False; transformers is always"),
    ("transformers", {"axial_positions": (16, 16)}, r"hold 256 positions; .* length is 128"),
    ("transformers", {"loss_chunks": 3}, "length 128 is not a multiple of loss_chunks 3"),
    ("reformer-pytorch", {"chunks_before": 2}, "chunks_before is 2; .* one chunk back"),
    ("reformer-pytorch", {"d_ff": 100}, "d_ff 100 is not a multiple of d_model"),
    ("reformer-pytorch", {"length": 192, "bucket_size": 32}, "192 is not a multiple of 128"),
    ("reformer-pytorch-exact", {"subject": "attention", "precision": "bfloat16"}, "float32 only"),
]


@pytest.mark.parametrize(("peer", "changes", "why"), CANNOT)
def test_what_a_peer_cannot_do_is_skipped_when_planned(peer, changes, why):
    """The sentence is the one with which the peer is refused where it is built."""
    pytest.importorskip(PACKAGES[peer])
    usual = {"length": 128, "d_model": 32, "d_ff": 64, "n_heads": 2, "bucket_size": 8}
    settings = Settings(attention=peer, measures=("time",), **usual | changes)
    case = make_case(settings)
    assert re.search(why, case.skip)
    job = Job(case_id="", kind="time", index=0, seed=0, settings=settings, device="cpu")
    with pytest.raises(ValueError, match=re.escape(case.skip)):
        build_step(job, CPU(), keep_gradients=False).run()
    assert not make_case(replace(settings, **{k: usual.get(k, DEFAULTS[k]) for k in changes})).skip


def test_no_case_of_a_suite_is_more_than_its_peer_can_do():
    for package in PACKAGES.values():
        pytest.importorskip(package)
    cases = [
        case
        for suite in find_suites().values()
        for preset in suite.presets
        for case in suite.cases(preset)
        if case.settings.attention in PEERS
    ]
    assert cases
    assert {case.skip for case in cases} == {""}


@pytest.mark.parametrize("values", [[1, 0], [0, 1, 2]])
def test_what_a_peer_refuses_hides_nothing_that_it_can_do(name, values):
    base = Settings(attention=name, measures=("time",))
    cases = unique(grid(base, chunks_before=values))
    skipped = {case.settings.chunks_before for case in cases if case.skip}
    assert len(cases) == len(values)
    assert skipped == (set() if name == "transformers" else {*values} - {1})


def test_a_peer_is_told_by_what_has_an_effect_on_it():
    """loss_chunks has none on reformer-pytorch, whose bucket is its chunk."""
    settings = Settings(attention="reformer-pytorch", measures=("time",), chunk_length=64)
    same = [{"loss_chunks": 4}, {"bucket_size": 64}, {"bucket_size": 8}]
    assert {replace(settings, **changes).id for changes in same} == {settings.id}
    assert replace(settings, chunk_length=None, bucket_size=32).id == settings.id
    others = [{"chunk_length": 128}, {"chunk_length": None, "bucket_size": 64}, {"ff_chunks": 4}]
    ids = [replace(settings, **changes).id for changes in others]
    assert ids[0] == ids[1] != ids[2]
    assert settings.id not in ids
    assert settings.measured()["bucket_size"] == 64
    other = replace(settings, attention="transformers")
    assert len({other.id, *(replace(other, **changes).id for changes in same)}) == 4
