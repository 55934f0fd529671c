"""The prior's transformer: its size, what reaches its answer and what does not."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from composer_pl.backbones.blocks import timestep_embedding
from composer_pl.backbones.prior_transformer import (
    PriorConfig,
    PriorShapes,
    PriorTransformer,
    causal,
)
from composer_pl.errors import ConfigError

KINDS = ("weight", "bias")
SMALL = PriorConfig(width=16, layers=2, head_dim=8)


def build(config=SMALL):
    torch.manual_seed(0)
    network = PriorTransformer(config, PriorShapes(embedding_width=4, text_tokens=6, text_width=5))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


def given(samples=3):
    generator = torch.Generator().manual_seed(1)
    words = torch.randn(samples, 5, 5, generator=generator)
    words[0, 2:] = 0  # a short caption
    return {
        "sentence": torch.randn(samples, 4, generator=generator),
        "words": words,
        "x_t": torch.randn(samples, 4, generator=generator),
        "t": torch.tensor([0, 500, 999])[:samples],
        "present": torch.ones(samples, dtype=torch.bool),
    }


def answer(network, sentence, words, x_t, t, present):
    return network(x_t, t, *network.text(sentence, words, present))


def count(width, layers, d, rows, text_width):
    """Parameters of the published layout, counted on paper."""
    block = 12 * width**2 + 13 * width  # attention 4 w^2, perceptron 8 w^2, biases, two norms
    ends = (text_width + 2 * d) * width + 3 * width + width * d + d
    time = 2 * (width**2 + width)
    tokens = (rows + 3) * width + width
    return layers * block + ends + time + tokens + 2 * width


@pytest.mark.parametrize(("width", "layers", "d", "rows"), [(16, 2, 4, 6), (2048, 20, 768, 78)])
def test_parameters_are_those_of_an_independent_count(width, layers, d, rows):
    config = PriorConfig(width=width, layers=layers, head_dim=8)
    with torch.device("meta"):
        network = PriorTransformer(
            config, PriorShapes(embedding_width=d, text_tokens=rows, text_width=d)
        )
    found = sum(p.numel() for p in network.parameters())
    assert found == count(width, layers, d, rows, d)


def test_the_default_has_a_billion_parameters():
    with torch.device("meta"):
        network = PriorTransformer(
            PriorConfig(), PriorShapes(embedding_width=768, text_tokens=78, text_width=768)
        )
    assert abs(sum(p.numel() for p in network.parameters()) / 1e9 - 1) < 0.1


def whole_sequence(network, sentence, words, x_t, t, present):
    """The same network as one causal sequence through PyTorch's own layers, without shortcuts."""
    order = [*range(1, len(network.text_positions)), 0]  # words, then the sentence
    text = torch.cat([network.words_in(words), network.sentence_in(sentence)[:, None]], 1)
    own = [network.time_in(timestep_embedding(t, 16)), network.embedding_in(x_t)]
    own = torch.stack([*own, network.query.expand(len(x_t), -1)], 1)
    tokens = torch.cat([text + network.text_positions[order], own + network.own_positions], 1)
    there = torch.cat([(words != 0).any(2), torch.ones(len(x_t), 4, dtype=torch.bool)], 1)
    for block in network.blocks:
        layer = nn.TransformerEncoderLayer(
            16, 2, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        parts = {
            "linear1": block.mlp_in,
            "linear2": block.mlp_out,
            "norm1": block.attention_norm,
            "norm2": block.mlp_norm,
            "self_attn.out_proj": block.attention_out,
        }
        state = {f"{n}.{kind}": getattr(p, kind) for n, p in parts.items() for kind in KINDS}
        for kind in KINDS:
            both = (getattr(block.query, kind), getattr(block.key_value, kind))
            state[f"self_attn.in_proj_{kind}"] = torch.cat(both)
        layer.load_state_dict(state)
        blocked = ~torch.ones(len(tokens[0]), len(tokens[0]), dtype=torch.bool).tril()
        tokens = layer(tokens, src_mask=blocked, src_key_padding_mask=~there)
    return network.head(network.norm(tokens[:, -1]))


def test_it_is_a_causal_transformer_of_the_whole_sequence():
    """Reading the text once, apart from what is noised, changes nothing."""
    network, inputs = build(), given()
    torch.testing.assert_close(
        answer(network, **inputs), whole_sequence(network, **inputs), rtol=1e-4, atol=1e-4
    )


def test_tokens_look_back_only_and_never_at_what_is_not_there():
    there = torch.tensor([[True, False, True], [False, True, True]])
    expected = torch.tensor(
        [[[1, 0, 0], [1, 1, 0], [1, 0, 1]], [[1, 0, 0], [0, 1, 0], [0, 1, 1]]], dtype=torch.bool
    )
    assert torch.equal(causal(there)[:, 0], expected)


def test_everything_reaches_the_prediction():
    network, inputs = build(), given()
    before = answer(network, **inputs)
    for name in ("sentence", "words", "x_t", "t", "present"):
        moved = inputs[name].roll(1, 0) if name != "present" else ~inputs[name]
        assert (answer(network, **{**inputs, name: moved}) - before).abs().min() > 1e-5, name


def test_a_dropped_caption_says_nothing_at_all():
    network, inputs = build(), given()
    alone = network(inputs["x_t"], inputs["t"])
    inputs["present"] = torch.tensor([False, True, False])
    dropped = answer(network, **inputs)
    torch.testing.assert_close(dropped[::2], alone[::2])
    assert (dropped[1] - alone[1]).abs().max() > 1e-3


def test_padding_says_nothing():
    """A caption's answer is the same whatever stands beside it and however far it is padded."""
    network, inputs = build(), given()
    text, mask = network.text(inputs["sentence"], inputs["words"], inputs["present"])
    together = network(inputs["x_t"], inputs["t"], text, mask)
    assert mask[0].tolist() == [True, True, False, False, False, True]
    kept = mask[0].nonzero()[:, 0]
    alone = network(inputs["x_t"][:1], inputs["t"][:1], text[:1, kept], mask[:1, kept])
    torch.testing.assert_close(together[:1], alone)


def test_without_words_four_tokens_are_left():
    network, inputs = build(replace(SMALL, words=False)), given()
    text, mask = network.text(inputs["sentence"], inputs["words"], inputs["present"])
    assert text.shape == (3, 1, 2 * 2 * 16)
    assert mask.all()
    other = {**inputs, "words": inputs["words"] + 1}
    assert torch.equal(answer(network, **inputs), answer(network, **other))


def test_a_fresh_network_answers_zero_and_every_weight_gets_a_gradient():
    torch.manual_seed(0)
    network = PriorTransformer(SMALL, PriorShapes(embedding_width=4, text_tokens=6, text_width=5))
    assert not answer(network, **given()).any()
    ends = network.blocks[0].mlp_out.weight.std() / network.blocks[0].mlp_in.weight.std()
    assert ends.item() == pytest.approx(0.5, rel=0.1)  # 1 / sqrt(2 * layers)
    nn.init.normal_(network.head.weight)
    answer(network, **given()).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head_dim": 5}, "head_dim that divides the width 16, found 5"),
        ({"layers": 0}, "at least one layer"),
        ({"width": 15}, "an even width"),
        ({"dropout": 1.0}, r"a dropout in \[0, 1\)"),
    ],
)
def test_sizes_that_make_no_transformer_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(SMALL, **change)
