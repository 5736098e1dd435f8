"""Layers of one model may have attentions of several kinds, which they take in turn."""

import pytest
import torch

from reformer import LSHConfig, Reformer, ReformerConfig

VOCABULARY, LENGTH = 19, 64
LSH = LSHConfig(n_rounds=2, bucket_size=4)
SIZES = {"d_model": 16, "d_ff": 32, "n_heads": 2, "n_layers": 4, "seed": 3}


def make_model(attention, reversible):
    return Reformer(
        ReformerConfig(
            vocabulary=VOCABULARY,
            length=LENGTH,
            attention=attention,
            reversible=reversible,
            **SIZES,
        )
    ).double()


@pytest.mark.parametrize("reversible", [True, False])
def test_layers_take_turns_in_their_attention(reversible):
    """Each layer computes what a model of its attention alone computes in that layer."""
    local = LSHConfig(n_rounds=1, bucket_size=LENGTH, chunk_length=8)
    turns = (local, LSH, "dense")
    mixed, by_hand = make_model(turns, reversible), make_model(LSH, reversible)
    assert [layer.attention.attention for layer in mixed.layers] == [*turns, local]
    for i, layer in enumerate(by_hand.layers):
        layer.attention.attention = turns[i % 3]
    tokens, targets = torch.randint(
        VOCABULARY, (2, 2, 60), generator=torch.Generator().manual_seed(0)
    )
    for model in (mixed, by_hand):
        model.loss(tokens, targets).backward()
    assert torch.equal(mixed.eval()(tokens), by_hand.eval()(tokens))
    for (name, mine), hers in zip(mixed.named_parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(mine.grad, hers.grad), name
    others = [make_model(one, reversible).eval()(tokens) for one in turns]
    assert not any(torch.allclose(mixed(tokens), other) for other in others)
